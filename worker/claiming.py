"""What a worker takes: never more than it has slots for, and by itself what has lost a worker."""

import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

from worker.ledger import MADE_WAY, Held, Ledger
from worker.store import WorkerStore

WAY_S: Final = 60.0
"""How long a slot waits for a low job to stop; the watchdog looks after engines that do not."""


class Room(NamedTuple):
    """How many jobs a worker holds at once: of low priority, and others."""

    slots: int
    low_slots: int = 0


class Claims:
    """Takes jobs for the slots of one worker, one at a time.

    A job that has lost a worker runs alone. So that it need not wait for low jobs, which may take any time,
    those make way for it; and where it is low itself, it makes way for any other.
    """

    def __init__(self, name: str, store: WorkerStore, ledger: Ledger, room: Room) -> None:
        self.name = name
        self.draining = threading.Event()
        self._store = store
        self._ledger = ledger
        self._all = room
        self._changed = threading.Condition()
        self._alone: Held | None = None
        self._held_back: str | None = None
        """The model of a job that waits until this worker runs nothing."""

    @property
    def are_closed(self) -> bool:
        """Whether there is nothing to ask for now."""
        return not any(self._room) and (self.draining.is_set() or not self._low_alone)

    def turns(self, model: str) -> Sequence[str]:
        """Return the models to ask for, one after the other, where a slot was rung for one."""
        waiting = self._held_back
        return (model,) if waiting in {None, model} or len(self._ledger) else (str(waiting), model)

    def take(self, model: str, seed: str) -> Held | None:
        """Take a job of a model and enter it in the ledger; nothing where there is none, or no room.

        Args:
            model: draws it.
            seed: random; give the same one again when the reply was lost, so that what it brought is not.

        Raises:
            StoreUnavailable: Redis is away.
        """
        with self._changed:
            self._make_way(model, seed)
            room = self._room
            # Asked for nothing, a claim still finds what an earlier try with this seed brought.
            claim = self._store.claim(
                model,
                self.name,
                want=min(1, room.slots),
                low=min(1, room.low_slots),
                alone=len(self._ledger) == 0,
                seed=seed,
            )
            if room.slots:
                self._hold_back(model, waits=claim.held_back)
            if not claim.attempts:
                return None
            held = self._ledger.add(claim.attempts[0])
            if held.attempt.losses:
                self._alone = held
            return held

    def release(self, held: Held) -> None:
        """Strike out of the ledger what has ended."""
        with self._changed:
            self._ledger.remove(held.attempt)
            if self._alone is held:
                self._alone = None
            self._changed.notify_all()

    @property
    def _room(self) -> Room:
        """How many may be taken now."""
        waits = self._held_back is not None and len(self._ledger) > 0
        if self.draining.is_set() or self._alone is not None or waits:
            return Room(0, 0)
        low = self._ledger.low
        others = len(self._ledger) - low
        return Room(max(0, self._all.slots - others), max(0, self._all.low_slots - low))

    @property
    def _low_alone(self) -> bool:
        alone = self._alone
        return alone is not None and alone.attempt.low

    def _hold_back(self, model: str, *, waits: bool) -> None:
        if waits:
            self._held_back = model
            self._ledger.make_way()
        elif self._held_back == model:
            self._held_back = None

    def _make_way(self, model: str, seed: str) -> None:
        """Let a low job that runs alone make way where another waits, and wait until it has."""
        alone = self._alone
        if alone is None or not alone.attempt.low or self.draining.is_set():
            return
        waits = self._store.claim(model, self.name, want=0, alone=False, seed=seed).held_back
        if waits:
            alone.stop(MADE_WAY)
            self._changed.wait_for(lambda: self._alone is not alone, WAY_S)
