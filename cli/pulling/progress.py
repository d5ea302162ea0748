"""Shows how much has come: a bar on a terminal, a line at every tenth anywhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from cli.amounts import in_bytes
from cli.terminal import say

_PLAIN_LINES: Final = 10


class BytesProgress:
    """Shows one download; told of bytes from any thread.

    Args:
        console: Where to show it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = Lock()
        self._total_bytes = 0
        self._here_bytes = 0
        self._said = 0
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("fetching", total=None)

    @contextmanager
    def showing(self, total_bytes: int, here_bytes: int) -> Iterator[None]:
        """Show it while entered.

        Args:
            total_bytes: How much it is in all.
            here_bytes: How much of that was here before.
        """
        self._total_bytes, self._here_bytes = total_bytes, here_bytes
        self._said = self._tenth()
        self._bar.update(self._task, total=total_bytes, completed=here_bytes)
        if not self._console.is_terminal:
            yield
            return
        with self._bar:
            yield

    def arrived(self, count: int) -> None:
        """Take notice of bytes that came, or, where the number is negative, were thrown away."""
        with self._lock:
            self._here_bytes += count
            tenth = self._tenth()
            news, self._said = tenth > self._said, max(tenth, self._said)
        self._bar.advance(self._task, count)
        if news and self._total_bytes and not self._console.is_terminal:
            here, total = in_bytes(self._here_bytes), in_bytes(self._total_bytes)
            say(f"{here} of {total}", console=self._console)

    def _tenth(self) -> int:
        return _PLAIN_LINES * self._here_bytes // max(1, self._total_bytes)
