"""The stages of something that takes its time: what happens now, what has happened, in how many seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console

from cli.terminal import say, words

_WORDS_WIDTH: Final = 46


class Stages:
    """Says of each stage on a console that it begins, and then that it has ended.

    Args:
        console: Where to say it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started_at = time.monotonic()

    @property
    def total_s(self) -> float:
        """The time since the first stage."""
        return time.monotonic() - self._started_at

    @contextmanager
    def stage(self, doing: str, *, turning: bool = True) -> Iterator["Stage"]:
        """One stage, while entered.

        Args:
            doing: What happens, as in "starting the API".
            turning: Whether something turns meanwhile; not where the stage shows its progress itself.
        """
        stage = Stage(doing)
        began_at = time.monotonic()
        if not self._console.is_terminal:
            say(doing, console=self._console)
            yield stage
        elif turning:
            with self._console.status(words(doing)):
                yield stage
        else:
            yield stage
        self._done(stage.result, time.monotonic() - began_at)

    def sum_up(self, done: str) -> None:
        """Say how long all of it took."""
        self._line("  ", done, self.total_s, style="bold")

    def _done(self, done: str, seconds: float) -> None:
        self._line("✓ " if self._console.is_terminal else "  ", done, seconds)

    def _line(self, mark: str, done: str, seconds: float, style: str = "") -> None:
        text = words(mark, style="green").append_text(words(f"{done:<{_WORDS_WIDTH}}", style=style))
        text.append(f" {seconds:6.2f} s", style=style or "dim")
        self._console.print(text, soft_wrap=True)


class Stage:
    """What one stage has to tell when it has ended."""

    def __init__(self, doing: str) -> None:
        self.result = doing
