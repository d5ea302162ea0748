"""Ctrl-C, SIGTERM and a closed terminal: one exception, raised once, in the main thread."""

import signal
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def never() -> bool:
    """Answer that there is no hurry."""
    return False


class StopRequested(BaseException):
    """Somebody asked this process to stop.

    Not an `Exception`: like KeyboardInterrupt, no handler of errors may swallow it.
    """

    def __init__(self, signum: int) -> None:
        self.exit_code = 128 + signum  # what a shell answers for a program that a signal ended
        super().__init__(signal.Signals(signum).name)


class StopSignals:
    """While entered, the first signal raises `StopRequested`; later ones only say that there is hurry.

    Stopping the children must not be cut short by a second Ctrl-C, so once `defer` was called, or the first
    signal was raised, no more exceptions come; `hurry` turns true instead.
    """

    def __init__(self) -> None:
        self._received = 0
        self._received_before_stop = 1
        self._deferred = False
        self._previous: list[signal._HANDLER] = []

    def __enter__(self) -> Self:
        self._previous = [signal.signal(signum, self._receive) for signum in _SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in zip(_SIGNALS, self._previous, strict=True):
            signal.signal(signum, handler)

    def defer(self) -> None:
        """Raise no more: stopping has begun."""
        self._deferred = True
        self._received_before_stop = self._received

    def hurry(self) -> bool:
        """Whether somebody asked again after stopping had begun."""
        return self._deferred and self._received > self._received_before_stop

    def _receive(self, signum: int, _frame: FrameType | None) -> None:
        self._received += 1
        if not self._deferred:
            self._deferred = True
            raise StopRequested(signum)
