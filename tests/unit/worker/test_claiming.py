"""What a worker takes: how many jobs of which priority, and who makes way for whom."""

import secrets
import threading
from typing import Any

import pytest
import redis

from shared.settings import JobSettings
from tests.jobs import Caller
from tests.waiting import wait_until
from worker.claiming import Claims, Room
from worker.ledger import MADE_WAY, Held, Ledger
from worker.store import WorkerStore


class Slots:
    """The claims of one worker, and the caller whose jobs it takes."""

    def __init__(self, client: redis.Redis, prefix: str, room: Room) -> None:
        self.store = WorkerStore(client, JobSettings(), prefix)
        self.caller = Caller(client, prefix)
        self.ledger = Ledger()
        self.claims = Claims("w", self.store, self.ledger, room)

    def take(self, model: str = "m") -> str | None:
        held = self.held(model)
        return held.attempt.job_id if held is not None else None

    def held(self, model: str = "m") -> Held | None:
        return self.claims.take(model, secrets.token_hex(8))

    def submit_lost(self, **job: Any) -> str:
        """Submit a job that has lost a worker."""
        job_id = self.caller.submit(**job)
        self.caller.client.hset(self.caller.keys.job(job_id), "losses", 1)
        return job_id

    def hand_back(self, held: Held) -> None:
        """What a slot does with an attempt that was told to stop."""
        self.store.fail(held.attempt, code="made_way", message="m", again="free")
        self.claims.release(held)

    def told_to_stop(self) -> list[Held]:
        return [held for held in self.ledger.all() if held.stop_requested()]


@pytest.fixture
def slots(redis_client: redis.Redis, prefix: str) -> Slots:
    return Slots(redis_client, prefix, Room(2, 2))


def test_a_worker_holds_as_many_of_each_as_it_has_slots_for(slots: Slots) -> None:
    low = [slots.caller.submit(low=True) for _ in range(3)]
    assert [slots.take() for _ in range(3)] == [*low[:2], None]
    others = [slots.caller.submit() for _ in range(3)]
    assert [slots.take() for _ in range(3)] == [*others[:2], None]
    assert slots.claims.are_closed


def test_a_worker_that_is_full_of_others_takes_no_low_job_while_one_of_them_waits(slots: Slots) -> None:
    others = [slots.caller.submit() for _ in range(3)]
    low = slots.caller.submit(low=True)
    first, second = slots.held(), slots.held()
    assert first is not None
    assert second is not None

    assert slots.take() is None
    slots.claims.release(first)
    assert [slots.take(), slots.take()] == [others[2], low]


def test_a_worker_without_slots_for_them_takes_none(redis_client: redis.Redis, prefix: str) -> None:
    slots = Slots(redis_client, prefix, Room(2, 0))
    slots.caller.submit(low=True)

    assert slots.take() is None


def test_low_jobs_make_way_for_one_that_lost_a_worker(slots: Slots) -> None:
    low, _ = (slots.caller.submit(low=True) for _ in range(2))
    held = slots.held()
    assert held is not None
    lost = slots.submit_lost()

    assert slots.take() is None
    assert slots.told_to_stop() == [held]
    assert slots.take() is None, "nothing more is taken until it has its turn"
    slots.hand_back(held)
    assert slots.take() == lost
    assert slots.caller.status(low) == "queued"


def test_the_job_that_is_to_run_alone_comes_first_whatever_its_model(slots: Slots) -> None:
    for _ in range(2):
        slots.caller.submit(low=True)
    held = slots.held()
    assert held is not None
    lost = slots.submit_lost(model="another")
    assert slots.take("another") is None
    assert slots.claims.turns("m") == ("m",)

    slots.hand_back(held)

    # The slot that has become free was rung for the other model.
    assert slots.claims.turns("m") == ("another", "m")
    assert slots.take("another") == lost
    assert slots.claims.turns("m") == ("m",)


def test_a_low_job_that_lost_a_worker_runs_alone_and_keeps_no_other_waiting(slots: Slots) -> None:
    other = slots.caller.submit()
    held = slots.held()
    lost = slots.submit_lost(low=True)
    assert held is not None
    assert slots.take() is None
    assert slots.told_to_stop() == []
    slots.claims.release(held)

    assert slots.take() == lost
    slots.caller.submit(low=True)
    assert slots.take() is None
    assert slots.told_to_stop() == []
    assert slots.caller.status(other) == "running"


def test_a_low_job_that_runs_alone_makes_way(slots: Slots) -> None:
    slots.submit_lost(low=True)
    alone = slots.held()
    assert alone is not None
    other = slots.caller.submit()
    taken: list[str | None] = []
    slot = threading.Thread(target=lambda: taken.append(slots.take()), daemon=True)

    slot.start()
    wait_until(alone.stop_requested, what="the low job to be told")
    assert alone.stop_reason == MADE_WAY
    assert taken == []
    slots.hand_back(alone)
    slot.join(timeout=10)

    assert taken == [other]


def test_a_worker_that_drains_asks_for_nothing(slots: Slots) -> None:
    slots.submit_lost(low=True)
    slots.held()
    assert not slots.claims.are_closed

    slots.claims.draining.set()

    assert slots.claims.are_closed
    slots.caller.submit()
    assert slots.take() is None
