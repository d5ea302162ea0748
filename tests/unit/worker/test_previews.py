"""Previews on their way to Redis: in order, in time or not at all, and never in anybody's way."""

import base64
import json

import fakeredis
import pytest
import redis
from typing_extensions import override

from shared.settings import JobSettings
from tests.conftest import FlaglessFakeRedis
from tests.jobs import Caller
from worker.attempt import Attempt
from worker.ledger import Held, Ledger
from worker.previews import Outbox
from worker.store import WorkerStore


class CountingStore(WorkerStore):
    """Counts how often a preview is written, or tried to be."""

    tries = 0

    @override
    def preview(self, attempt: Attempt, *, image: int, partial: int, file: bytes) -> None:
        self.tries += 1
        super().preview(attempt, image=image, partial=partial, file=file)


class Desk:
    """A worker's ledger, outbox and store, and a caller whose jobs it takes."""

    def __init__(self, client: redis.Redis, prefix: str, room_bytes: int = 1000) -> None:
        self.store = CountingStore(client, JobSettings(), prefix)
        self.caller = Caller(client, prefix)
        self.outbox = Outbox(room_bytes)
        self.ledger = Ledger(self.outbox)

    def take(self) -> Held:
        self.caller.submit()
        (attempt,) = self.store.claim("m", "w", want=1, alone=True).attempts
        return self.ledger.add(attempt)

    def kept(self, attempt: Attempt) -> dict[str, bytes]:
        found = self.caller.client.hgetall(self.store.keys.previews(attempt.job_id))
        return {name.decode(): base64.b64decode(file) for name, file in found.items()}


@pytest.fixture
def desk(redis_client: redis.Redis, prefix: str) -> Desk:
    return Desk(redis_client, prefix)


def test_they_are_kept_and_told_in_the_order_in_which_they_came(desk: Desk) -> None:
    held = desk.take()
    listener = desk.caller.client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(desk.store.keys.events(held.attempt.job_id))
    listener.get_message(timeout=10)
    for image, partial in [(0, 0), (1, 0), (0, 1)]:
        held.on_preview(image, partial, f"{image} {partial}".encode())

    desk.outbox.send(desk.store)

    assert desk.kept(held.attempt) == {"0.0": b"0 0", "1.0": b"1 0", "0.1": b"0 1"}
    told = [json.loads(listener.get_message(timeout=10)["data"]) for _ in range(3)]
    assert [(each["image"], each["partial"]) for each in told] == [(0, 0), (1, 0), (0, 1)]
    assert len(desk.outbox) == 0
    listener.close()


def test_what_was_not_sent_when_its_attempt_ends_is_forgotten(desk: Desk) -> None:
    ended, goes_on = desk.take(), desk.take()
    for held in (ended, goes_on):
        held.on_preview(0, 0, b"early")

    desk.ledger.remove(ended.attempt)
    ended.on_preview(0, 1, b"late")

    assert len(desk.outbox) == 1
    desk.outbox.send(desk.store)
    assert desk.kept(ended.attempt) == {}
    assert desk.kept(goes_on.attempt) == {"0.0": b"early"}


def test_none_is_written_once_the_job_is_finished_and_the_others_still_come(desk: Desk) -> None:
    finished, goes_on = desk.take(), desk.take()
    desk.store.save_draft(finished.attempt, [b"aW1hZ2U="])
    desk.store.finish(finished.attempt, images=1, usage={})
    for held in (finished, goes_on):
        held.on_preview(0, 0, b"preview")

    desk.outbox.send(desk.store)

    assert desk.kept(finished.attempt) == {}
    assert desk.kept(goes_on.attempt) == {"0.0": b"preview"}


def test_a_job_that_was_told_to_stop_sends_none(desk: Desk) -> None:
    held = desk.take()
    desk.ledger.lose({held.attempt.job_id: "cancelled"})

    held.on_preview(0, 0, b"preview")

    assert len(desk.outbox) == 0


def test_the_oldest_give_way_where_there_is_no_room(redis_client: redis.Redis, prefix: str) -> None:
    desk = Desk(redis_client, prefix, room_bytes=20)
    held = desk.take()
    for partial in range(3):
        held.on_preview(0, partial, b"8 bytes.")

    desk.outbox.send(desk.store)

    assert desk.kept(held.attempt) == {"0.1": b"8 bytes.", "0.2": b"8 bytes."}
    held.on_preview(0, 3, b"more than there is room")
    assert len(desk.outbox) == 0


def test_those_of_the_time_when_redis_was_away_are_thrown_away(prefix: str) -> None:
    server = fakeredis.FakeServer()
    desk = Desk(FlaglessFakeRedis(server=server), prefix)
    held = desk.take()
    held.on_preview(0, 0, b"first")
    held.on_preview(0, 1, b"second")
    server.connected = False

    desk.outbox.send(desk.store)

    # One is enough to know: each try may last as long as Redis is waited for.
    assert (len(desk.outbox), desk.store.tries) == (0, 1)
    server.connected = True
    held.on_preview(0, 2, b"third")
    desk.outbox.send(desk.store)
    assert desk.kept(held.attempt) == {"0.2": b"third"}
