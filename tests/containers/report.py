"""What the program says: one line for each promise that was seen to hold, and the one that was broken."""

import sys
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_SLOWEST_POLL_S: Final = 0.5


class Broken(Exception):
    """A promise does not hold."""


class CannotTry(Exception):
    """This machine has not what trying takes."""


class Report:
    """The lines, with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self.kept = 0

    def begins(self, what: str) -> None:
        """Say what is done now."""
        self._write(f"\n{what}")

    def ok(self, what: str) -> None:
        """Say that something holds."""
        self.kept += 1
        self._write(f"  ok    {self.elapsed_s:6.1f} s  {what}")

    def note(self, what: str) -> None:
        """Say something that is no promise."""
        self._write(f"        {self.elapsed_s:6.1f} s  {what}")

    def broken(self, why: Broken) -> None:
        """Say what does not hold."""
        self._write(f"BROKEN  {self.elapsed_s:6.1f} s  {why}")

    def cannot(self, why: CannotTry) -> None:
        """Say what is missing."""
        self._write(f"cannot be tried here: {why}")

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @staticmethod
    def _write(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def require(holds: object, otherwise: str) -> None:
    """Let the program go on only where something holds.

    Raises:
        Broken: it does not.
    """
    if not holds:
        raise Broken(otherwise)


def until(holds: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """Return the first true answer; containers answer slowly, so they are asked a few times a second.

    Raises:
        Broken: there was none in time.
    """
    give_up_at = time.monotonic() + timeout_s
    while not (answer := holds()):
        if time.monotonic() > give_up_at:
            message = f"{what} did not come true within {timeout_s:.0f} s"
            raise Broken(message)
        time.sleep(_SLOWEST_POLL_S)
    return answer
