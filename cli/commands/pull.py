"""`darkroom models pull`: fetch the weights of an entry of the catalogue."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from cli.amounts import in_bytes
from cli.entries import find_entry
from cli.pulling.progress import BytesProgress
from cli.terminal import ending_well, err, out, say, words
from shared.catalogue import Catalogue, ModelSpec
from shared.catalogue.hub import cache_folder
from shared.errors import ConfigurationError
from shared.settings import read_settings

if TYPE_CHECKING:
    from cli.pulling.pull import Plan

_COMMIT_LETTERS: Final = 12


def pull(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="name or alias in the catalogue", show_default=False)
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be fetched, and stop")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="check what is here already too, and fetch again what is spoiled")
    ] = False,
) -> None:
    """Fetch a model's weights from the hub; go on where an earlier try stopped.

    Size and licence are shown first. Only what the service loads is fetched, and every file is checked
    against the checksum that the hub has for it.
    """
    catalogue = Catalogue.load(read_settings().models.catalogue)
    spec = find_entry(catalogue, name)
    if not spec.hub_ids:
        say(f"{spec.name} does not come from the hub; it is at {catalogue.check_weights(spec)}")
        return
    with ending_well("stopped; what has come is kept, and the same command goes on from there"):
        fetched = _pull(spec, yes=yes, dry_run=dry_run, verify=verify)
    if not dry_run:
        say(f"{spec.name} is here: {catalogue.check_weights(spec)}", style="bold green")
    if fetched:
        say("a service that runs offers it after its next start")


def _pull(spec: ModelSpec, *, yes: bool, dry_run: bool, verify: bool) -> bool:
    """Fetch what is missing, if that is wanted; return whether anything was."""
    # Half a second to import, and not installed where only the API runs.
    from cli.pulling.hub import Hub  # noqa: PLC0415
    from cli.pulling.pull import Pull  # noqa: PLC0415

    hub, progress = Hub(), BytesProgress(err)
    pull = Pull(spec, hub, cache_folder(), progress.arrived)
    say(f"asking {hub.endpoint} about {', '.join(spec.hub_ids)}", style="dim", console=err)
    with pull.planned() as plan:
        for path in pull.discard_spoiled(plan) if verify else ():
            say(f"{path} is not as the hub has it: it is fetched again", style="yellow", console=err)
        out.print(_summary(plan))
        plan.check_room()
        missing_bytes = plan.missing_bytes
        if dry_run:
            return False
        if missing_bytes:
            _ask(yes=yes)
        with progress.showing(plan.total_bytes, plan.total_bytes - missing_bytes):
            pull.fetch(plan)
    return missing_bytes > 0


def _summary(plan: "Plan") -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(plan):
        table.add_row(words(name), words(value))
    return table


def _facts(plan: "Plan") -> Iterator[tuple[str, str]]:
    spec = plan.spec
    yield "model", f"{spec.title}: {spec.description}"
    yield "licence", f"{spec.licence}\n{spec.licence_url}"
    for part in plan.parts:
        files = f"{len(part.files)} file{'s' if len(part.files) > 1 else ''}"
        commit = part.repository.commit[:_COMMIT_LETTERS]
        yield "from", f"{part.repository.repository}, commit {commit}: {files}, {in_bytes(part.total_bytes)}"
    here_bytes = plan.total_bytes - plan.missing_bytes
    here = f"; {in_bytes(here_bytes)} are here already" if here_bytes else ""
    yield "to fetch", f"{in_bytes(plan.missing_bytes)} of {in_bytes(plan.total_bytes)}{here}"
    yield "into", f"{plan.cache}"
    yield "needs", f"{spec.memory_gib:g} GiB of memory on the device to draw"


def _ask(*, yes: bool) -> None:
    """Go on only if that is wanted.

    Raises:
        ConfigurationError: There is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        msg = "nothing was fetched: there is no terminal to ask on; say --yes if licence and size are right"
        raise ConfigurationError(msg)
    if not typer.confirm("fetch it under this licence?", err=True):
        say("nothing was fetched", console=err)
        raise typer.Exit(1)
