"""The pictures that jobs begin with, in the store: there as long as their job is unfinished, and counted."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from shared.errors import InputsFull, InputsLost, TooManyJobs
from shared.settings import JobSettings
from tests.jobs import Caller
from tests.waiting import wait_until
from worker.attempt import Attempt
from worker.store import WorkerStore

FILE = b"x" * 100


@pytest.fixture
def caller(redis_client: redis.Redis, prefix: str) -> Caller:
    return Caller(redis_client, prefix)


@pytest.fixture
def store(redis_client: redis.Redis, prefix: str) -> WorkerStore:
    return WorkerStore(redis_client, JobSettings(reap_s=0.001, lease_s=0.05, heartbeat_s=0.01), prefix)


def edit(caller: Caller, job_id: str, owner: str = "owner", files: int = 1, **more: Any) -> str:
    """Put files in and make their job, as the API does."""
    key = caller.keys.input(job_id)
    caller.client.hset(key, mapping={str(i): FILE for i in range(files)})
    caller.client.pexpire(key, 60_000)
    return caller.submit(owner=owner, job_id=job_id, input_bytes=files * len(FILE), **more)


def counted(caller: Caller, owner: str = "owner") -> tuple[int, int]:
    """Return the bytes of all, and of an owner."""
    values = caller.client.mget(caller.keys.input_bytes, caller.keys.owner_input_bytes(owner))
    return int(values[0] or 0), int(values[1] or 0)


def attempt_of(store: WorkerStore) -> Attempt:
    (attempt,) = store.claim("m", "w", want=1, alone=True).attempts
    return attempt


def test_they_are_counted_and_live_as_long_as_their_job_may(caller: Caller, store: WorkerStore) -> None:
    edit(caller, "one", files=2, deadline_ms=1_000_000)

    assert counted(caller) == (200, 200)
    assert caller.client.pttl(caller.keys.input("one")) > 1_000_000
    attempt = attempt_of(store)
    assert store.inputs(attempt) == {"0": FILE, "1": FILE}


@pytest.mark.parametrize("end", ["finish", "fail", "cancel queued", "cancel running", "deadline", "lost"])
def test_they_are_gone_with_their_job_however_it_ends(caller: Caller, store: WorkerStore, end: str) -> None:
    ends: dict[str, Callable[[], object]] = {
        "finish": lambda: finished(store),
        "fail": lambda: store.fail(attempt_of(store), code="generation_failed", message="no"),
        "cancel queued": lambda: caller.cancel("one"),
        "cancel running": lambda: (attempt_of(store), caller.cancel("one")),
        "deadline": lambda: wait_until(lambda: store.reap() and caller.status("one") == "failed"),
        "lost": lambda: lost(caller, store),
    }
    edit(caller, "one", deadline_ms=1 if end == "deadline" else 60_000, max_attempts=1)
    edit(caller, "other", owner="somebody else")

    ends[end]()

    assert caller.status("one") in {"succeeded", "failed", "cancelled"}
    assert not caller.client.exists(caller.keys.input("one"))
    assert counted(caller) == (100, 0)
    assert counted(caller, "somebody else") == (100, 100)


def finished(store: WorkerStore) -> None:
    attempt = attempt_of(store)
    store.save_draft(attempt, [b"x"])
    for _ in range(2):  # a reply may be lost
        store.finish(attempt, images=1, usage={})


def lost(caller: Caller, store: WorkerStore) -> None:
    attempt_of(store)
    wait_until(lambda: store.reap() and caller.status("one") == "failed")


def test_a_job_that_is_queued_again_keeps_them(caller: Caller, store: WorkerStore) -> None:
    edit(caller, "one")
    store.fail(attempt_of(store), code="generation_failed", message="no", again="retry")

    assert store.inputs(attempt_of(store)) == {"0": FILE}
    assert counted(caller) == (100, 100)


def test_a_job_without_them_is_not_made(caller: Caller) -> None:
    with pytest.raises(InputsLost):
        caller.submit(job_id="one", input_bytes=100)

    assert caller.status("one") == "gone"
    assert counted(caller) == (0, 0)


def test_there_is_an_end_to_them_for_all_and_for_each(caller: Caller) -> None:
    bounds = {"max_owner_input_bytes": 250, "max_input_bytes": 350}
    edit(caller, "one", **bounds)
    edit(caller, "two", **bounds)

    with pytest.raises(TooManyJobs):
        edit(caller, "three", **bounds)
    edit(caller, "four", owner="other", **bounds)
    with pytest.raises(InputsFull):
        edit(caller, "five", owner="a third", **bounds)
    caller.submit(owner="a third", **bounds)

    assert counted(caller) == (300, 200)


def test_one_that_is_larger_than_all_bounds_is_let_in_alone(caller: Caller) -> None:
    """Else it never would be, whatever its caller is told of when to come again."""
    edit(caller, "one", files=9, max_owner_input_bytes=1, max_input_bytes=1)

    assert counted(caller) == (900, 900)


def test_a_submission_that_is_sent_twice_counts_once(caller: Caller) -> None:
    for _ in range(2):
        edit(caller, "one")

    assert counted(caller) == (100, 100)


def test_what_an_older_version_left_is_found_when_no_job_can_need_it(
    caller: Caller, store: WorkerStore
) -> None:
    edit(caller, "one", deadline_ms=1)
    (member,) = caller.client.zrange(caller.keys.inputs, 0, -1)
    caller.client.hdel(caller.keys.job("one"), "input_bytes")  # as if ended by one that knows of none
    caller.cancel("one")
    assert counted(caller) == (100, 100)
    caller.client.zadd(caller.keys.inputs, {member: 1})

    wait_until(lambda: store.reap() and counted(caller) == (0, 0), what="the reaper")
    assert not caller.client.exists(caller.keys.input("one"))


def test_what_the_reaper_has_dropped_is_not_dropped_again_with_its_job(
    caller: Caller, store: WorkerStore
) -> None:
    edit(caller, "one")
    (member,) = caller.client.zrange(caller.keys.inputs, 0, -1)
    caller.client.zadd(caller.keys.inputs, {member: 1})
    wait_until(lambda: store.reap() and counted(caller) == (0, 0), what="the reaper")
    edit(caller, "two")

    caller.cancel("one")

    assert counted(caller) == (100, 100)
