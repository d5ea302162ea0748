"""`darkroom tune`: find out ahead of time how a model runs fastest on this machine, and keep it."""

import json
import logging
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.entries import find_entry
from cli.terminal import ending_well, err, out, say
from cli.tuning import TuningProgress, check_writable, day_of, found_in, lines_of, table_of
from shared.catalogue import Catalogue, ModelSpec
from shared.catalogue.families import batched_families
from shared.errors import CatalogueError, ConfigurationError
from shared.logs import configure
from shared.settings import WorkerSettings, read_settings
from shared.tuning_file import default_tuning_file

if TYPE_CHECKING:
    from worker.engine.ahead import Ahead
    from worker.engine.rows.tuning import Tuning


class Thoroughness(StrEnum):
    """How far a model is tuned."""

    QUICK = "quick"
    FULL = "full"


def tune(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="name or alias in the catalogue", show_default=False)
    ],
    *,
    level: Annotated[
        Thoroughness, typer.Option(help="the modes that are tried in seconds, or all, which takes minutes")
    ] = Thoroughness.FULL,
    device: Annotated[
        str | None,
        typer.Option(help="cuda or cuda:N; default: that of the workers here", show_default=False),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="forget what is kept, and find it anew")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs: what was found, as JSON")] = False,
) -> None:
    """Find out how a model runs fastest on this machine's GPU, and keep it for the workers here.

    A mode is kept if it is faster and agrees with the plain form. Nothing else should use the GPU meanwhile.
    """
    settings = read_settings()
    catalogue = Catalogue.load(settings.models.catalogue)
    spec = find_entry(catalogue, model)
    folder = _folder(catalogue, spec)
    file = settings.worker.tuning_file or default_tuning_file()
    ahead = _ahead(device or settings.worker.device, level, file)
    shown = Shown(ahead, spec, as_json=as_json)
    if not ahead.can_tune:
        shown.show_nothing()
        return
    check_writable(file)
    # So that the engine's warnings can be read by whoever looks on.
    configure(settings.log.model_copy(update={"format": "console", "level": "warning"}))
    shown.show(folder, again=again)
    _note_what_is_used(level, settings.worker)


class Shown:
    """Tunes a model and shows what comes of it: a table, or JSON.

    Args:
        ahead: Tunes it.
        spec: The model.
        as_json: Whether a program shall read it.
    """

    def __init__(self, ahead: "Ahead", spec: ModelSpec, *, as_json: bool = False) -> None:
        self._ahead = ahead
        self._spec = spec
        self._as_json = as_json

    def show(self, folder: Path, *, again: bool = False) -> None:
        """Show what was found before, or find it and show that."""
        before = None if again else self._ahead.kept(self._spec)
        tuning = before or self._find(folder, again=again)
        if self._as_json:
            self._print(tuned=True, found_before=before is not None, **found_in(tuning))
            return
        out.print(table_of(tuning))
        say(lines_of(tuning), style="bold")
        if before is not None:
            when = day_of(before.found_at)
            say(f"found {when} at level {before.level}; --again finds it anew", style="dim", console=err)

    def show_nothing(self) -> None:
        """Say that there is nothing to tune."""
        why = "nothing to tune: on a CPU models run as they are"
        if self._as_json:
            self._print(tuned=False, why=why)
        else:
            say(why)

    def _find(self, folder: Path, *, again: bool) -> "Tuning":
        with ending_well("stopped; nothing new was kept"), TuningProgress(self._spec.name, err) as progress:
            return self._ahead.tune(self._spec, folder, progress.tell, plan=progress.plan, again=again)

    def _print(self, **found: Any) -> None:  # noqa: ANN401 - whatever JSON can have
        about = {"model": self._spec.name, "device": self._ahead.device_name}
        print(json.dumps({**about, **found}, indent=2))  # noqa: T201 -- rich would break lines


def _folder(catalogue: Catalogue, spec: ModelSpec) -> Path:
    """Find the weights of a model that can be tuned.

    Raises:
        CatalogueError: They are missing or broken, or it can only be run whole.
    """
    if spec.family not in batched_families():
        msg = f"model {spec.name!r} cannot be tuned: its pipeline, {spec.family}, is run whole"
        raise CatalogueError(msg)
    return catalogue.check_weights(spec)


def _ahead(device: str, level: Thoroughness, file: Path | None) -> "Ahead":
    # Libraries warn while they are imported, of what is none of the user's business.
    logging.disable(logging.WARNING)
    try:
        # Some seconds to import, and not installed where only the API runs.
        from worker.engine import TuningChoice  # noqa: PLC0415
        from worker.engine.ahead import Ahead  # noqa: PLC0415
    except ModuleNotFoundError as error:
        msg = f"{error.name} is not installed here; what this machine lacks: darkroom doctor"
        raise ConfigurationError(msg) from error
    finally:
        logging.disable(logging.NOTSET)
    return Ahead(device, TuningChoice(level.value, file))


def _note_what_is_used(level: Thoroughness, worker: WorkerSettings) -> None:
    if worker.tuning == "off" or (worker.tuning, level) == ("full", Thoroughness.QUICK):
        note = f"workers here do not use it: DARKROOM_WORKER__TUNING is {worker.tuning}"
        say(note, style="yellow", console=err)
