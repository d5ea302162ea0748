"""Shows how a model is tuned: a bar while it is, and a table of what came of it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import MofNCompleteColumn
from rich.table import Table

from cli.progress import TerminalBar
from cli.terminal import cells, say
from shared.errors import ConfigurationError
from shared.printable import printable
from shared.tuning_file import TuningFile

if TYPE_CHECKING:
    # Torch takes seconds to import.
    from worker.engine.rows.tuning import Tuning
    from worker.engine.stages.tuner import Trial, Tuned

_NOTHING = "-"


class TuningProgress(TerminalBar):
    """Shows the trials of one model while entered: a bar on a terminal, a line for each anywhere else.

    Args:
        model: Its name.
        console: Where to show it.
    """

    def __init__(self, model: str, console: Console) -> None:
        super().__init__(console, MofNCompleteColumn(), f"loading {model}", None)

    def plan(self, trials: int) -> None:
        """Take notice of how many trials there will be."""
        self._bar.update(self._task, description="the plain form", total=trials)
        if not self._console.is_terminal:
            say(f"{trials} trials", console=self._console)

    def tell(self, trial: "Trial") -> None:
        """Take notice of one that has ended."""
        self._bar.update(self._task, description=printable(describe(trial)), advance=1)
        if not self._console.is_terminal:
            say(describe(trial), console=self._console)


def describe(trial: "Trial") -> str:
    """Say in a few words what became of a trial."""
    ratio = "" if trial.ratio is None else f", {_ratio(trial.ratio)}"
    return f"{trial.stage}, {trial.mode}{ratio}: {_verdict(trial)}"


def table_of(tuning: "Tuning") -> Table:
    """Return every trial of every stage, in the order in which they were made."""
    table = Table(box=None, pad_edge=False)
    for heading in ("STAGE", "MODE", "MS AN IMAGE", "RATIO", "ERROR", "KEPT"):
        is_number = heading in {"MS AN IMAGE", "RATIO", "ERROR"}
        table.add_column(heading, overflow="fold", justify="right" if is_number else "left")
    for trial in (trial for tuned in tuning.stages.values() for trial in tuned.trials):
        ms = _NOTHING if trial.ms is None else f"{trial.ms:.2f}"
        ratio = _NOTHING if trial.ratio is None else _ratio(trial.ratio)
        error = _NOTHING if trial.error is None else f"{trial.error:.1e}"
        style = "" if trial.kept else "dim"
        table.add_row(*cells(trial.stage, trial.mode, ms, ratio, error, _verdict(trial)), style=style)
    return table


def lines_of(tuning: "Tuning") -> str:
    """Say for each stage in which modes it runs, and how many images go together."""
    return "\n".join(
        f"{name}: {in_modes(tuned.modes)}; {tuned.images} together" for name, tuned in tuning.stages.items()
    )


def in_modes(modes: Sequence[str]) -> str:
    """Return modes in words."""
    return ", ".join(modes) or "plain"


def found_in(tuning: "Tuning") -> dict[str, Any]:
    """Return it for programs."""
    return {
        "level": tuning.level,
        "found_at": tuning.found_at,
        "stages": {name: _stage(tuned) for name, tuned in tuning.stages.items()},
    }


def day_of(at: int) -> str:
    """Return the day of an instant in unix seconds, in words."""
    return time.strftime("on %d %B %Y", time.gmtime(at))


def check_writable(file: Path | None) -> None:
    """Look before the minutes are spent whether what is found can be kept.

    Raises:
        ConfigurationError: It cannot.
    """
    how = "set DARKROOM_WORKER__TUNING_FILE to another, for the workers too"
    if file is None:
        msg = f"this user has no home to keep in it what is found: {how}"
        raise ConfigurationError(msg)
    try:
        TuningFile(file).check_writable()
    except OSError as error:
        msg = f"{file} cannot be written ({error.strerror}): {how}"
        raise ConfigurationError(msg) from error


def _stage(tuned: "Tuned") -> dict[str, Any]:
    trials = [trial.written() for trial in tuned.trials]
    return {"modes": list(tuned.modes), "images": tuned.images, "trials": trials}


def _verdict(trial: "Trial") -> str:
    return "kept" if trial.kept else trial.why


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f} x"
