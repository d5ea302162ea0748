"""Jobs of low priority: given where nothing else waits, counted nowhere that others are, and never met by a
script from before there were any."""

import json
from typing import Any

import pytest
import redis

from shared.errors import QueueFull, TooManyJobs
from shared.settings import JobSettings
from tests.jobs import Caller
from worker.store import Claim, ModelLoad, WorkerStore

IMAGE = b"aW1hZ2U="


@pytest.fixture
def caller(redis_client: redis.Redis, prefix: str) -> Caller:
    return Caller(redis_client, prefix)


@pytest.fixture
def store(redis_client: redis.Redis, prefix: str) -> WorkerStore:
    return WorkerStore(redis_client, JobSettings(reap_s=0.0001), prefix)


def claim(store: WorkerStore, want: int = 1, low: int = 1, *, alone: bool = True) -> Claim:
    return store.claim("m", "w", want=want, low=low, alone=alone)


def taken(store: WorkerStore, times: int) -> list[str]:
    return [attempt.job_id for _ in range(times) for attempt in claim(store).attempts]


def finish(store: WorkerStore, job: Claim, device_s: float | None = None) -> None:
    (attempt,) = job.attempts
    store.save_draft(attempt, [IMAGE])
    store.finish(attempt, images=1, usage={}, device_s=device_s)


def names(caller: Caller) -> set[str]:
    keys = caller.client.keys(f"{caller.keys.prefix}*")
    return {key.decode().removeprefix(caller.keys.prefix) for key in keys}


def test_a_low_job_is_given_where_no_other_waits(caller: Caller, store: WorkerStore) -> None:
    low = caller.submit(low=True)
    others = [caller.submit() for _ in range(2)]

    assert taken(store, 4) == [*others, low]


def test_an_attempt_says_whether_its_job_is_low(caller: Caller, store: WorkerStore) -> None:
    caller.submit(low=True)
    caller.submit()

    assert [claim(store).attempts[0].low for _ in range(2)] == [False, True]


def test_a_worker_takes_as_many_as_it_has_room_for(caller: Caller, store: WorkerStore) -> None:
    low = [caller.submit(low=True) for _ in range(3)]

    assert claim(store, low=0).attempts == ()
    assert [attempt.job_id for attempt in claim(store, want=4, low=2).attempts] == low[:2]


def test_no_low_job_is_given_while_another_waits_for_which_there_is_no_room(
    caller: Caller, store: WorkerStore
) -> None:
    caller.submit(low=True)
    caller.submit()

    kept = claim(store, want=0)

    assert (kept.attempts, kept.held_back) == ((), True)
    assert not claim(store, want=1).attempts[0].low
    assert claim(store, want=0).attempts[0].low


def test_low_jobs_are_passed_by_what_the_worker_cannot_read(
    redis_client: redis.Redis, caller: Caller
) -> None:
    old = WorkerStore(redis_client, JobSettings(), caller.keys.prefix, reads=1)
    low = caller.submit(low=True)
    caller.submit(needs=2)

    assert [attempt.job_id for attempt in claim(old).attempts] == [low]


def test_low_jobs_need_versions_of_the_params_as_others_do(redis_client: redis.Redis, caller: Caller) -> None:
    old, new = (WorkerStore(redis_client, JobSettings(), caller.keys.prefix, reads=n) for n in (1, 2))
    jobs = [caller.submit(low=True, needs=needs) for needs in (2, 1)]

    assert taken(old, 2) == [jobs[1]]
    assert caller.client.exists(caller.keys.newer("m")) == 0
    assert taken(new, 1) == [jobs[0]]


def test_owners_take_turns_among_low_jobs(caller: Caller, store: WorkerStore) -> None:
    ann = [caller.submit(owner="ann", low=True) for _ in range(3)]
    bob = [caller.submit(owner="bob", low=True) for _ in range(3)]

    assert taken(store, 6) == [job for pair in zip(ann, bob, strict=True) for job in pair]


def test_what_an_owner_draws_at_low_priority_costs_it_no_turn_of_the_others(
    caller: Caller, store: WorkerStore
) -> None:
    for _ in range(5):
        caller.submit(owner="ann", low=True)
    taken(store, 5)
    ann, bob = caller.submit(owner="ann"), caller.submit(owner="bob")

    assert taken(store, 2) == [ann, bob]


def test_low_jobs_are_in_no_bound_and_no_promise_of_others(caller: Caller, store: WorkerStore) -> None:
    caller.client.hset(caller.keys.key("pace"), "m", 1.0)
    for _ in range(6):
        caller.submit(low=True, max_queued=1, max_unfinished=1, max_owed_ms=1, max_wait_ms=1)
    taken(store, 3)

    job = caller.submit(max_queued=1, max_unfinished=1, max_owed_ms=1, max_wait_ms=10_000, cost=50)

    assert caller.record(job)["predicted_ms"] == "50"
    assert caller.client.get(caller.keys.key("owed", "owner")) == b"50"
    with pytest.raises(QueueFull):
        caller.submit(owner="another", max_queued=1)
    with pytest.raises(TooManyJobs):
        caller.submit(max_unfinished=1)


def test_low_jobs_are_taken_however_many_others_there_are(caller: Caller) -> None:
    caller.submit()

    low = caller.submit(low=True, max_queued=1, max_unfinished=1)

    assert caller.status(low) == "queued"


def test_a_promise_counts_nothing_of_low_jobs_that_run(caller: Caller, store: WorkerStore) -> None:
    caller.client.hset(caller.keys.key("pace"), "m", 1.0)
    caller.submit(low=True)
    taken(store, 1)
    caller.submit(owner="another", cost=100)

    job = caller.submit(cost=50)

    assert caller.record(job)["predicted_ms"] == "150"


def test_the_end_of_a_low_job_takes_nothing_from_what_is_owed(caller: Caller) -> None:
    caller.submit(cost=1000)

    caller.cancel(caller.submit(low=True, cost=300))

    assert caller.client.get(caller.keys.key("owed", "owner")) == b"1000"


def test_nothing_is_promised_of_a_low_job(caller: Caller) -> None:
    caller.client.hset(caller.keys.key("pace"), "m", 1.0)

    assert caller.record(caller.submit(low=True))["predicted_ms"] == "-1"


def test_a_low_job_stands_behind_all_others_and_the_low_ones_before_it(
    caller: Caller, store: WorkerStore
) -> None:
    store.renew("w", ["m"], [], {}, low=True)
    store.renew("v", ["m"], [], {})
    caller.client.hset(caller.keys.key("pace"), "m", 1.0)
    jobs = [caller.submit(low=True) for _ in range(2)]
    for _ in range(3):
        caller.submit()

    ahead, work, pace, workers, latency, newer = caller.place(jobs[1])

    assert (ahead, work, pace, workers, latency, newer) == (4, 4000, b"", 1, b"", 0)
    taken(store, 3)
    assert caller.place(jobs[0])[0] == 0


def test_a_low_job_teaches_only_what_the_device_spent_on_it(caller: Caller, store: WorkerStore) -> None:
    for device_s in (None, 2.0):
        caller.submit(low=True, cost=100)
        taken_now = claim(store)
        caller.client.hincrby(caller.keys.job(taken_now.attempts[0].job_id), "started_at", -60_000)
        finish(store, taken_now, device_s)

    key = caller.keys.key
    assert float(caller.client.hget(key("pace"), "m")) == 20
    assert caller.client.exists(key("latency")) == 0
    # Nobody waited for it, so nothing is said of how long it took.
    assert set(caller.client.hgetall(key("counts"))) == {b"m:ended:succeeded"}


def test_all_books_are_empty_when_low_jobs_have_ended(caller: Caller, store: WorkerStore) -> None:
    for number in range(6):
        caller.submit(low=True, owner=f"owner {number % 2}", needs=1 + number % 2)
    finish(store, claim(store))
    store.fail(claim(store).attempts[0], code="c", message="m")
    store.fail(claim(store).attempts[0], code="c", message="m", again="free")
    for number in range(6):
        caller.cancel(f"job{number + 1:05d}", f"owner {number % 2}")

    left = {name.split(":")[0] for name in names(caller)}
    assert left <= {
        "job", "history", "result", "results", "result_bytes", "done", "moved", "order", "models", "vtime",
        "pace", "usage", "counts", "idle", "claimed",
    }  # fmt: skip


@pytest.mark.parametrize("again", ["free", "retry"])
def test_a_low_job_that_is_queued_again_is_low_still(caller: Caller, store: WorkerStore, again: Any) -> None:
    job = caller.submit(low=True)
    store.fail(claim(store).attempts[0], code="c", message="m", again=again)

    other = caller.submit()

    assert taken(store, 2) == [other, job]


def test_making_way_is_noted_once_in_a_row_and_counted_as_no_loss(caller: Caller, store: WorkerStore) -> None:
    job = caller.submit(low=True)
    for _ in range(3):
        store.fail(claim(store).attempts[0], code="c", message="m", again="free")

    record = caller.record(job)
    assert [line["outcome"] for line in json.loads(record["history"])] == ["handed_back"]
    assert record["attempt"] == "0"
    assert caller.client.exists(caller.keys.key("counts")) == 0


def lapse(caller: Caller, store: WorkerStore, job: str) -> None:
    caller.client.zadd(caller.keys.leases, {job: 1})
    pulse(caller)
    assert store.reap() is not None


def pulse(caller: Caller) -> None:
    seconds, micros = caller.client.time()
    caller.client.set(caller.keys.key("reaped_at"), int(seconds) * 1000 + int(micros) // 1000 - 10)


def test_a_low_job_that_lost_a_worker_waits_for_an_idle_one_and_keeps_nobody_waiting(
    caller: Caller, store: WorkerStore
) -> None:
    job = caller.submit(low=True)
    claim(store)
    lapse(caller, store, job)

    waiting = claim(store, alone=False)
    other = caller.submit()

    assert waiting == Claim((), held_back=False)
    assert [attempt.job_id for attempt in claim(store, alone=False).attempts] == [other]
    (attempt,) = claim(store, alone=True).attempts
    assert (attempt.job_id, attempt.losses) == (job, 1)


def test_another_job_that_lost_a_worker_lets_no_low_job_pass(caller: Caller, store: WorkerStore) -> None:
    job = caller.submit()
    claim(store)
    lapse(caller, store, job)
    caller.submit(low=True)

    assert claim(store, alone=False) == Claim((), held_back=True)


def test_the_reaper_tells_of_low_jobs_and_of_who_takes_them(caller: Caller, store: WorkerStore) -> None:
    store.renew("w", ["m"], [], {}, low=True)
    store.renew("v", ["m"], [], {})
    for needs in (1, 1, 9):
        caller.submit(low=True, needs=needs)

    pulse(caller)
    reaped = store.reap()

    assert reaped is not None
    assert sorted(reaped.loads, key=lambda load: (load.low, load.needs)) == [
        ModelLoad("m", 1, 0, 2),
        ModelLoad("m", 1, 2, 1, low=True),
        ModelLoad("m", 9, 1, 0, low=True),
    ]


def test_deadlines_end_low_jobs(caller: Caller, store: WorkerStore) -> None:
    jobs = [caller.submit(low=True) for _ in range(3)]
    claim(store)
    for job in jobs:
        caller.client.zadd(caller.keys.key("deadlines"), {job: 1})
    assert claim(store).attempts == ()
    pulse(caller)
    store.reap()

    assert [caller.status(job) for job in jobs] == ["failed"] * 3
    assert not any(name.startswith(("queue", "lane", "backlog", "low_running")) for name in names(caller))


# --- beside versions that know of no low jobs


def played_by_an_old_reaper(caller: Caller, job: str) -> None:
    """What a lapse leaves behind where the reaper knows of no low jobs: it stands among the others."""
    key = caller.keys.key
    caller.client.zrem(key("leases"), job)
    caller.client.hset(caller.keys.job(job), mapping={"status": "queued", "token": "", "worker": ""})
    caller.client.zadd(key("queue", "m"), {job: 1})
    caller.client.zadd(key("lane", "m", "owner"), {job: 1})
    caller.client.zadd(key("lanes", "m"), {"owner": 0})
    caller.client.incrby(key("backlog", "m"), 1000)


def test_what_an_old_reaper_put_among_the_others_goes_back_where_it_belongs(
    caller: Caller, store: WorkerStore
) -> None:
    job = caller.submit(low=True)
    claim(store)
    played_by_an_old_reaper(caller, job)
    other = caller.submit(owner="another")

    assert claim(store, low=0).attempts[0].job_id == other
    assert claim(store, low=0).attempts == ()
    assert not names(caller) & {"queue:m", "backlog:m", "lanes:m", "lane:m:owner"}
    assert taken(store, 1) == [job]


def test_what_an_old_reaper_put_among_the_others_can_be_cancelled(caller: Caller, store: WorkerStore) -> None:
    job = caller.submit(low=True)
    claim(store)
    played_by_an_old_reaper(caller, job)

    caller.cancel(job)
    pulse(caller)
    store.reap()

    assert not any(name.startswith(("queue", "lane", "backlog", "low_running")) for name in names(caller))


def played_by_an_old_cancel(caller: Caller, job: str) -> None:
    """What the end of a job leaves behind where the script knows of no low jobs: it stands where it stood."""
    caller.client.hset(caller.keys.job(job), "status", "cancelled")
    caller.client.zrem(caller.keys.key("deadlines"), job)
    caller.client.decrby(caller.keys.key("owed", "owner"), 1000)
    caller.client.delete(caller.keys.key("owed", "owner"))


def test_what_an_old_version_ended_is_passed_over_and_forgotten(caller: Caller, store: WorkerStore) -> None:
    jobs = [caller.submit(low=True, needs=needs) for needs in (1, 2, 1)]
    for job in jobs[:2]:
        played_by_an_old_cancel(caller, job)

    assert taken(store, 1) == [jobs[2]]
    caller.cancel(jobs[2])
    assert not any(name.startswith(("queue", "lane", "backlog", "newer")) for name in names(caller))


def test_no_script_of_before_comes_upon_a_low_job(caller: Caller) -> None:
    """All that it would look at is as if there was none."""
    caller.submit(low=True, needs=2)

    assert not names(caller) & {"queue:m", "newer:m", "lanes:m", "lanes:m@2", "lane:m:owner", "backlog:m"}
    assert not names(caller) & {"unfinished:owner", "owed:owner"}
