"""`darkroom models`: what the service offers, what it could offer, and fetching that."""

from dataclasses import dataclass, replace
from typing import Final

import typer
from rich.table import Table

from cli.amounts import in_bytes
from cli.client import DEFAULT_URL, Client, Connection, Json, ServiceUnreachable
from cli.commands.pull import pull
from cli.options import ApiKey, BaseUrl, Organization, Project
from cli.terminal import cells, err, out, say
from shared.catalogue import Catalogue, ModelSpec
from shared.errors import CatalogueError, ConfigurationError
from shared.settings import read_settings

_NOT_HERE: Final = "not here"
_UNSERVED: Final = (
    "its weights are here; it is offered after the next start of the service, "
    "unless DARKROOM_MODELS__ENABLED leaves it out"
)
_HOW_TO_PULL: Final = "what is not here can be fetched: darkroom models pull NAME"

app = typer.Typer(invoke_without_command=True)
app.command("pull")(pull)


@dataclass(frozen=True)
class _Row:
    """One model, as the list shows it."""

    name: str
    state: str
    what: str
    licence: str
    size: str = ""
    off_because: str = ""


@app.callback()
def list_models(
    context: typer.Context,
    *,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    organization: Organization = None,
    project: Project = None,
) -> None:
    """List the models of the service, and the entries of the catalogue here that are off."""
    if context.invoked_subcommand is not None:
        return
    with Client(Connection(base_url, api_key, organization, project)) as client:
        offered = _offered(client)
    rows = [_row_of(model) for model in offered or ()]
    notes = []
    try:
        catalogue = Catalogue.load(read_settings().models.catalogue)
        rows = _with_entries_here(rows, catalogue, served=offered is not None)
    except ConfigurationError as error:
        notes.append(error.message)
    out.print(_table(rows))
    for note in (*notes, *(row.off_because for row in rows if row.off_because)):
        say(note, style="dim")
    if any(row.state == _NOT_HERE for row in rows):
        say(_HOW_TO_PULL, style="dim")


def _offered(client: Client) -> list[Json] | None:
    """The models of the service; None, and a word about it, where no service answers."""
    try:
        return client.models()
    except ServiceUnreachable as error:
        say(f"{error.message}\nthis is the catalogue of this machine:", style="yellow", console=err)
        return None


def _row_of(model: Json) -> _Row:
    aliases = model.get("aliases") or []
    name = f"{model['id']} ({', '.join(aliases)})" if aliases else str(model["id"])
    state = "ready" if model.get("ready", True) else "no worker"
    state = f"{state}, default" if model.get("default") else state
    transparent = ", transparent" if model.get("transparent") else ""
    return _Row(name, state, f"{model.get('title', '')}{transparent}", str(model.get("licence", "")))


def _with_entries_here(rows: list[_Row], catalogue: Catalogue, *, served: bool) -> list[_Row]:
    """Add what this machine knows: the entries that the service does not offer, and sizes on disk."""
    offered = {row.name.split(" ")[0]: row for row in rows}
    for spec in catalogue.specs:
        if spec.name in offered:
            offered[spec.name] = replace(offered[spec.name], size=_size(catalogue, spec))
        else:
            offered[spec.name] = _entry_row(catalogue, spec, served=served)
    return list(offered.values())


def _entry_row(catalogue: Catalogue, spec: ModelSpec, *, served: bool) -> _Row:
    """The row of an entry that no service offers; where it could be mended, with the reason."""
    row = _Row(spec.name, "off", spec.title, spec.licence)
    if spec.hub_ids and catalogue.weights_folder(spec) is None:
        return replace(row, state=_NOT_HERE)
    try:
        catalogue.check_weights(spec)
    except CatalogueError as error:
        return replace(row, off_because=error.message)
    row = replace(row, size=_size(catalogue, spec))
    if served:
        return replace(row, off_because=f"model {spec.name!r}: {_UNSERVED}")
    default = ", default" if spec.name == catalogue.default else ""
    return replace(row, state=f"here{default}")


def _size(catalogue: Catalogue, spec: ModelSpec) -> str:
    """What the weights take on this disk; nothing where they are not here."""
    folder = catalogue.weights_folder(spec)
    if folder is None:
        return ""
    return in_bytes(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def _table(rows: list[_Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("MODEL", "STATE", "ON DISK", "WHAT", "LICENCE"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "ON DISK")
    for row in rows:
        style = "dim" if row.state in {"off", _NOT_HERE} else ""
        table.add_row(*cells(row.name, row.state, row.size, row.what, row.licence), style=style)
    return table
