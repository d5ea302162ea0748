"""Time that holds: what does not fit is cut off and named, never the reason for a longer run."""

import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from benchmarks.engine.began import seconds_since

T = TypeVar("T")

OVER = "the time was over"


class OutOfTime(BaseException):
    """The time of a piece of work is over. No ``except Exception`` of a library takes it for its own."""


class Budget:
    """Seconds for a whole run, and what they did not suffice for. For the main thread only."""

    def __init__(self, seconds: float, whole: "Budget | None" = None) -> None:
        """Begin now.

        Args:
            seconds: for everything.
            whole: that this is a part of; what is missed is kept there too.
        """
        self.missed: dict[str, str] = {} if whole is None else whole.missed
        """What was not reached or failed, and why, in the order in which it was tried."""
        self.failed: list[str] = [] if whole is None else whole.failed
        """What of it failed, rather than being left out or cut off."""
        self._ends_at = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self._ends_at - time.monotonic())

    def part(self, seconds: float) -> "Budget":
        """Return so many seconds of it, from now on, or what is left."""
        return Budget(min(seconds, self.left_s), self)

    def attempt(self, what: str, work: Callable[[], T]) -> T | None:
        """Do something within what is left; None where it did not fit, or raised, which is noted."""
        if self.left_s <= 0:
            self.missed[what] = OVER
            return None
        # What hangs is the last one told of.
        print(f"[{seconds_since():4.0f} s] {what}", flush=True)

        def in_time() -> T:
            with within(self.left_s):
                return work()

        return self.survive(what, in_time)

    def survive(self, what: str, work: Callable[[], T]) -> T | None:
        """Do something whose parts are attempted; None where it raised, which is noted."""
        try:
            return work()
        except OutOfTime:
            self.missed[what] = OVER
        except Exception as error:  # noqa: BLE001 - one part's failure must not end the others
            traceback.print_exc(file=sys.stderr)
            self.fail(what, _said(error))
        return None

    def fail(self, what: str, why: str) -> None:
        """Note that something failed."""
        self.missed[what] = why
        self.failed.append(what)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise ``OutOfTime`` in the block after so many seconds; an outer block's alarm goes on behind it."""
    began_at = time.monotonic()
    handler = signal.signal(signal.SIGALRM, _raise)
    outer_s, _ = signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if outer_s > 0:
            left_s = outer_s - (time.monotonic() - began_at)
            signal.setitimer(signal.ITIMER_REAL, max(left_s, 1e-3))


def _raise(*_: object) -> NoReturn:
    raise OutOfTime


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}".rstrip(": ")
