"""Which waiting request begins next, and when one that needs the device for itself gets its turn."""

from collections.abc import Callable
from time import monotonic
from typing import Final

from worker.engine.work import Work

SWAP_WAIT_S: Final = 5.0
"""How long others may pass a request that needs the device for itself."""

Waiting = tuple[Work, float]
"""A request, and since when it waits."""


class Admission:
    """Requests that have not begun, first come first.

    One whose model is on the device, with a row adapter, joins as soon as there is room. One that needs the
    device for itself (its model must be loaded first, or its pipeline runs whole) waits until nothing runs;
    others may pass it for a bounded time, after which none begins before it.

    Those of low priority stand behind all others, and have as much room of their own. None begins while
    another waits or runs, so none has a model loaded or a text encoded that would keep one waiting.
    """

    def __init__(
        self, can_join: Callable[[Work], bool], *, room_rows: int = 1, clock: Callable[[], float] = monotonic
    ) -> None:
        """Begin with nothing.

        Args:
            can_join: whether a request can begin while others run.
            room_rows: rows that may be held at once, and as many of low priority.
            clock: seconds.
        """
        self.room_rows = room_rows
        self._can_join = can_join
        self._clock = clock
        self._waiting: list[Waiting] = []

    def __len__(self) -> int:
        """Return the number of waiting requests."""
        return len(self._waiting)

    def add(self, work: Work) -> None:
        """Let a request wait."""
        self._waiting.append((work, self._clock()))

    @property
    def has_others(self) -> bool:
        """Whether a request waits that is not low."""
        return any(not work.request.low for work, _ in self._waiting)

    def take_all(self) -> list[Work]:
        """Take every waiting request."""
        waiting, self._waiting = self._waiting, []
        return [work for work, _ in waiting]

    def next(self, running_rows: int, low_rows: int = 0) -> Work | None:
        """Take the next request that may begin now, or nothing.

        Args:
            running_rows: rows of the requests that have begun and not ended, the low ones left out.
            low_rows: rows of the low ones.
        """
        picked = self._pick(self._of(low=False), running_rows, idle=running_rows + low_rows == 0)
        if picked is None and running_rows == 0 and not self.has_others:
            picked = self._pick(self._of(low=True), low_rows, idle=low_rows == 0)
        if picked is None:
            return None
        self._waiting = [pair for pair in self._waiting if pair[0] is not picked]
        return picked

    def is_kept_waiting(self, running_rows: int) -> bool:
        """Return whether one that needs the device for itself would begin if nothing low ran."""
        picked = self._pick(self._of(low=False), running_rows, idle=running_rows == 0)
        return picked is not None and not self._can_join(picked)

    def _of(self, *, low: bool) -> list[Waiting]:
        return [pair for pair in self._waiting if pair[0].request.low == low]

    def _pick(self, waiting: list[Waiting], running_rows: int, *, idle: bool) -> Work | None:
        """Return the next of one priority, of which so many rows run; ``idle``: nothing runs at all."""
        joining = next((work for work, _ in waiting if self._can_join(work)), None)
        alone = next((pair for pair in waiting if not self._can_join(pair[0])), None)
        overdue = alone is not None and self._clock() - alone[1] >= SWAP_WAIT_S
        if joining is not None and not overdue:
            # Only the first, so that one with many images is not passed for ever by those with few.
            fits = running_rows == 0 or running_rows + len(joining.request.seeds) <= self.room_rows
            return joining if fits else None
        return alone[0] if alone is not None and idle else None
