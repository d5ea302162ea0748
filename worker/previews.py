"""Previews on their way to Redis, on a thread of their own: neither engine nor heartbeat waits for them.

They are worth little and only for a moment, so nothing is tried twice: what has no room, comes late or cannot
be written is thrown away.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

import pybase64

from shared.errors import JobNotFound, LeaseLost, StoreUnavailable
from worker.attempt import Attempt
from worker.store import WorkerStore

ROOM_BYTES: Final = 64 * 2**20


@dataclass(frozen=True)
class Preview:
    """An encoded picture on its way; ``image`` and ``partial`` count from 0."""

    attempt: Attempt
    image: int
    partial: int
    file: bytes


class Outbox:
    """Previews of running attempts that were not written yet, in the order in which they came."""

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        """Begin with none.

        Args:
            room_bytes: how much is kept; the oldest give way to the newest.
        """
        self._room_bytes = room_bytes
        self._filled_bytes = 0
        self._open: set[str] = set()
        self._waiting: deque[Preview] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def open(self, attempt: Attempt) -> None:
        """Take previews of an attempt from now on."""
        with self._lock:
            self._open.add(attempt.token)

    def close(self, attempt: Attempt) -> None:
        """Forget an attempt that has ended, and its previews."""
        with self._lock:
            self._open.discard(attempt.token)
            self._waiting = deque(each for each in self._waiting if each.attempt.token != attempt.token)
            self._filled_bytes = sum(len(each.file) for each in self._waiting)

    def add(self, preview: Preview) -> None:
        """Queue a preview, unless its attempt has ended."""
        with self._lock:
            if preview.attempt.token not in self._open:
                return
            self._waiting.append(preview)
            self._filled_bytes += len(preview.file)
            while self._filled_bytes > self._room_bytes:
                self._filled_bytes -= len(self._waiting.popleft().file)

    def send(self, store: WorkerStore) -> None:
        """Write all that waits. Where the store is away or full, all of it is thrown away."""
        while (preview := self._next()) is not None:
            try:
                _write(store, preview)
            except StoreUnavailable:
                self._empty()
            except (LeaseLost, JobNotFound):
                # The heartbeat learns of it too, and tells the attempt to stop.
                continue

    def _next(self) -> Preview | None:
        with self._lock:
            if not self._waiting:
                return None
            preview = self._waiting.popleft()
            self._filled_bytes -= len(preview.file)
            return preview

    def _empty(self) -> None:
        with self._lock:
            self._waiting.clear()
            self._filled_bytes = 0


def _write(store: WorkerStore, preview: Preview) -> None:
    file = pybase64.b64encode(preview.file)
    store.preview(preview.attempt, image=preview.image, partial=preview.partial, file=file)
