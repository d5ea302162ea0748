"""The attempts that this worker holds: what it owes, how far each is, and which it was told to stop.

Shared by the slots that run attempts, the heartbeat that renews them and the engine that reports steps.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from worker.attempt import Attempt
from worker.metrics import observe_no_numbers
from worker.previews import Outbox, Preview
from worker.trace import AttemptTrace

HANDED_BACK: Final = "handed back"
MADE_WAY: Final = "made way"


class Held:
    """One running attempt. It is the engine's watcher: told of steps and stages, asked whether to stop."""

    def __init__(self, attempt: Attempt, outbox: Outbox) -> None:
        self.attempt = attempt
        self.trace = AttemptTrace(attempt)
        self.step = 0
        self.steps = 0
        self.stop_reason: str | None = None
        self.shared_from_s = 0.0
        self._reported = 0
        self._outbox = outbox

    def stop(self, reason: str) -> None:
        """Tell the attempt to stop, if it was not told before."""
        if self.stop_reason is None:
            self.stop_reason = reason

    def on_step(self, step: int, steps: int) -> None:
        """Note a step. Called by the engine between steps, so it only assigns."""
        self.step, self.steps = step, steps

    def stop_requested(self) -> bool:
        """Whether the attempt is to stop at its next step."""
        return self.stop_reason is not None

    def on_stage(self, stage: str, began_at: float, ended_at: float) -> None:
        """Note when a stage was. Called on the engine's threads, so it only takes note."""
        self.trace.stage(stage, began_at, ended_at)

    def on_no_numbers(self, model: str, *, mended: bool) -> None:
        """Count an image that was no picture."""
        observe_no_numbers(model, mended=mended)

    def on_preview(self, image: int, partial: int, file: bytes) -> None:
        """Let a preview be sent. Called on the engine's other threads, so it only queues."""
        if not self.stop_requested():
            self._outbox.add(Preview(self.attempt, image, partial, file))

    def news(self) -> tuple[str, str, int, int] | None:
        """Return (job id, token, step, steps) where there is a step that was not reported yet."""
        step, steps = self.step, self.steps
        if step == self._reported or not steps:
            return None
        self._reported = step
        return self.attempt.job_id, self.attempt.token, step, steps


class Ledger:
    """All held attempts."""

    def __init__(self, outbox: Outbox | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none.

        Args:
            outbox: takes their previews; by default they are thrown away.
            clock: seconds.
        """
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._outbox = Outbox(room_bytes=0) if outbox is None else outbox
        self._clock = clock
        # Each runs the slower the more attempts share the worker, so that their shares add up to the time
        # spent; those of low priority have only what there is while there is no other.
        self._shared_s = {False: 0.0, True: 0.0}
        self._read_at = clock()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def low(self) -> int:
        """How many of them are of low priority."""
        return sum(held.attempt.low for held in self.all())

    def add(self, attempt: Attempt) -> Held:
        """Enter an attempt and return its watcher."""
        held = Held(attempt, self._outbox)
        with self._lock:
            held.shared_from_s = self._read()[attempt.low]
            self._held[attempt.token] = held
        self._outbox.open(attempt)
        return held

    def share_s(self, held: Held) -> float:
        """Return the attempt's share of the worker's time so far, in seconds."""
        with self._lock:
            return self._read()[held.attempt.low] - held.shared_from_s

    def _read(self) -> dict[bool, float]:
        now = self._clock()
        if self._held:
            served = Counter(held.attempt.low for held in self._held.values())
            low = not served[False]
            self._shared_s[low] += (now - self._read_at) / served[low]
        self._read_at = now
        return self._shared_s

    def remove(self, attempt: Attempt) -> None:
        """Strike an attempt out."""
        with self._lock:
            self._read()
            self._held.pop(attempt.token, None)
        self._outbox.close(attempt)

    def all(self) -> list[Held]:
        """Return the held attempts."""
        with self._lock:
            return list(self._held.values())

    def lose(self, lost: dict[str, str]) -> list[Held]:
        """Tell the attempts of lost jobs to stop; return those that were not told before.

        Args:
            lost: reasons by job id, as the heartbeat learned them.
        """
        told = [held for held in self.all() if held.attempt.job_id in lost and held.stop_reason is None]
        for held in told:
            held.stop_reason = lost[held.attempt.job_id]
        return told

    def hand_back(self) -> None:
        """Tell every attempt to stop and go back to its queue."""
        for held in self.all():
            held.stop(HANDED_BACK)

    def make_way(self) -> None:
        """Tell those of low priority to stop and go back to their queue."""
        for held in self.all():
            if held.attempt.low:
                held.stop(MADE_WAY)
