"""Doing something at a steady pace, beside everything else."""

import threading
import time
from collections.abc import Callable

from typing_extensions import override

from shared.errors import DarkroomError
from shared.logs import get_logger
from shared.redis_reasons import reason_of

log = get_logger(__name__)


class Ticker(threading.Thread):
    """Calls a function at a steady pace until told to stop; whatever the function raises, it goes on."""

    def __init__(self, name: str, period_s: float, tick: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._period_s = period_s
        self._tick = tick
        self._stopped = threading.Event()
        self._failing = False

    @override
    def run(self) -> None:
        """Tick until stopped."""
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._period_s, time.monotonic())
            try:
                self._tick()
            except Exception as error:
                expected = isinstance(error, DarkroomError)
                reason = reason_of(error) if expected else type(error).__name__
                if not self._failing:
                    log.warning("upkeep.failed", ticker=self.name, reason=reason, exc_info=not expected)
                self._failing = True
            else:
                self._failing = False

    def stop(self) -> None:
        """Stop ticking and wait for the tick that runs."""
        self._stopped.set()
        self.join(timeout=5)
