"""Shows how far something is: a bar on a terminal, a few plain lines anywhere else."""

from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from cli.client import Json
from cli.terminal import say
from shared.printable import printable

_PLAIN_STEP: Final = 25


class TerminalBar:
    """A bar that is shown while entered, where the console is a terminal.

    Args:
        console: Where to show it.
        far: What tells how far it is.
        task: What is done at first.
        total: At how much it is done; None while that is not known.
        transient: Whether the bar is taken away at the end.
    """

    def __init__(
        self, console: Console, far: ProgressColumn, task: str, total: int | None, *, transient: bool = False
    ) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            far,
            TimeElapsedColumn(),
            console=console,
            transient=transient,
        )
        self._task = self._bar.add_task(printable(task), total=total)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()


class JobProgress(TerminalBar):
    """Shows one job while entered.

    Args:
        console: Where to show it.
        transient: Whether the bar is taken away at the end.
    """

    def __init__(self, console: Console, *, transient: bool = False) -> None:
        super().__init__(console, TaskProgressColumn(), "asking", 100, transient=transient)
        self._said: tuple[str, int] | None = None

    def show(self, job: Json) -> None:
        """Show the job as it is now."""
        percent = 100 if job["status"] == "succeeded" else int(job.get("progress") or 0)
        if self._console.is_terminal:
            self._bar.update(self._task, description=printable(describe(job)), completed=percent)
            return
        news = (job["status"], percent // _PLAIN_STEP)
        if news != self._said:
            self._said = news
            say(f"{describe(job)} ({percent} %)", console=self._console)


def describe(job: Json) -> str:
    """Say in a few words what happens to a job."""
    if job["status"] == "queued":
        return f"queued{_place(job)}"
    if job["status"] == "running":
        return f"drawing with {job['model']}"
    return str(job["status"])


def _place(job: Json) -> str:
    before, eta_s = job.get("queue_position"), job.get("eta_seconds")
    place = f", {before} before it" if before else ""
    return f"{place}, about {eta_s:.0f} s" if eta_s else place
