"""Jobs that need a later version of the params than some workers read: who takes them, and who waits."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis

from shared.jobs.keys import Keys
from shared.settings import JobSettings
from tests.jobs import Caller
from worker.store import ModelLoad, WorkerStore

MINUTE_MS = 60_000


@pytest.fixture
def caller(redis_client: redis.Redis, prefix: str) -> Caller:
    return Caller(redis_client, prefix)


class Workers:
    """An old worker and a new one."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        # A reaper whose every tick counts, and leases that outlast a slow test.
        settings = JobSettings(reap_s=0.001)
        self.old = WorkerStore(client, settings, prefix, reads=1)
        self.new = WorkerStore(client, settings, prefix, reads=2)

    def beat(self, *names: str) -> None:
        """Let ``old``, ``new`` or both be alive."""
        for name in names:
            getattr(self, name).renew(name, ["m"], [], {})


@pytest.fixture
def workers(redis_client: redis.Redis, prefix: str) -> Workers:
    return Workers(redis_client, prefix)


def taken(store: WorkerStore, times: int) -> list[str]:
    """Claim so often, one job a time; return the jobs."""
    claims = [store.claim("m", "w", want=1, alone=True).attempts for _ in range(times)]
    return [attempt.job_id for attempts in claims for attempt in attempts]


def predicting(caller: Caller, pace_ms: float = 1.0) -> None:
    """Let it be known how long a unit of cost takes."""
    caller.client.hset(caller.keys.key("pace"), "m", pace_ms)


def test_an_old_worker_leaves_what_it_cannot_read_and_takes_what_is_behind(
    caller: Caller, workers: Workers
) -> None:
    jobs = [caller.submit(needs=needs) for needs in (2, 1, 2, 1)]

    assert taken(workers.old, 4) == [jobs[1], jobs[3]]
    assert [caller.status(job) for job in jobs] == ["queued", "running", "queued", "running"]
    assert taken(workers.new, 4) == [jobs[0], jobs[2]]


def test_a_new_worker_takes_the_jobs_of_a_lane_in_the_order_in_which_they_came(
    caller: Caller, workers: Workers
) -> None:
    jobs = [caller.submit(needs=needs) for needs in (1, 2, 2, 1, 2, 1)]

    assert taken(workers.new, 6) == jobs


@pytest.mark.parametrize("needs", [(1, 1), (2, 2), (1, 2), (2, 1)])
def test_lanes_take_turns_whatever_their_jobs_need(
    caller: Caller, workers: Workers, needs: tuple[int, int]
) -> None:
    ann = [caller.submit(owner="ann", needs=needs[i % 2]) for i in range(4)]
    bob = [caller.submit(owner="bob", needs=needs[(i + 1) % 2]) for i in range(4)]

    in_turn = [job for pair in zip(ann, bob, strict=True) for job in pair]
    assert taken(workers.new, 8) == in_turn


def test_a_lane_that_nobody_can_read_saves_up_no_turns_for_its_other_jobs(
    caller: Caller, workers: Workers
) -> None:
    caller.submit(owner="ann", needs=2)
    bob = {caller.submit(owner="bob") for _ in range(12)}
    taken(workers.old, 6)

    for _ in range(8):
        caller.submit(owner="ann")

    assert len(bob.intersection(taken(workers.old, 6))) == 2


def test_when_a_newer_worker_comes_what_waited_for_it_goes_first_once_and_then_in_turn(
    caller: Caller, workers: Workers
) -> None:
    ann = [caller.submit(owner="ann", needs=2) for _ in range(4)]
    bob = [caller.submit(owner="bob") for _ in range(8)]
    taken(workers.old, 4)

    assert taken(workers.new, 1) == ann[:1]
    assert set(taken(workers.new, 4)) == {ann[1], ann[2], bob[4], bob[5]}


def test_a_claim_is_no_slower_for_any_number_of_jobs_that_cannot_be_read(
    caller: Caller, workers: Workers, request: pytest.FixtureRequest
) -> None:
    if "fakeredis" in request.node.name:
        pytest.skip("counts the server's own commands")
    commands = counting(caller.client)
    taken_with = []
    for lanes in (2, 300):
        for number in range(lanes):
            caller.submit(owner=f"owner {lanes}.{number}", needs=2)
        job = caller.submit(owner=f"last {lanes}")
        before = commands()
        assert taken(workers.old, 1) == [job]
        taken_with.append(commands() - before)

    few, many = taken_with
    assert many <= few


def counting(client: Any) -> Callable[[], int]:
    """Return what tells how many commands the server has run, those inside of scripts too."""
    names = ("zrange", "zscore", "hget", "hmget", "exists", "zcard", "hkeys", "zadd", "zrem")

    def count() -> int:
        stats = client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in names)

    return count


def test_a_job_says_that_no_living_worker_can_read_it(caller: Caller, workers: Workers) -> None:
    job, other = caller.submit(needs=2), caller.submit()
    workers.beat("old")

    ahead, _, _, able, _, newer = caller.place(job)
    assert (ahead, able, newer) == (0, 0, 1)
    assert caller.place(other)[-1] == 0

    workers.beat("new")
    assert caller.place(job)[3:6:2] == [1, 0]
    assert caller.place(other)[3] == 2


def test_what_nobody_can_read_is_ahead_of_nobody_who_can_be_served(caller: Caller, workers: Workers) -> None:
    workers.beat("old")
    for owner in ("ann", "bob", "cyd"):
        caller.submit(owner=owner, needs=2)
    ann = caller.submit(owner="ann")

    assert caller.place(ann)[0] == 0
    workers.beat("new")
    # Its own lane's earlier job, and the first of each other lane.
    assert caller.place(ann)[0] == 3


def test_a_job_is_accepted_though_only_older_workers_live(caller: Caller, workers: Workers) -> None:
    workers.beat("old")
    predicting(caller)

    job = caller.submit(needs=2, worker_grace_ms=MINUTE_MS, max_wait_ms=1, cost=100)

    assert (caller.status(job), caller.record(job)["predicted_ms"]) == ("queued", "-1")


def test_what_nobody_can_read_makes_no_promise_longer(caller: Caller, workers: Workers) -> None:
    workers.beat("old")
    predicting(caller)
    for number in range(20):
        caller.submit(owner=f"owner {number}", needs=2)

    job = caller.submit(owner="ann", cost=1000)

    assert caller.record(job)["predicted_ms"] == "1000"


def rings(caller: Caller, **job: Any) -> int:
    """Submit a job; return whether that is worth a ring."""
    answers: list[int] = []
    run = caller.run

    def listening(name: str, **values: Any) -> list[Any]:
        reply = run(name, **values)
        answers.append(reply[2])
        return reply

    caller.run = listening  # type: ignore[method-assign]
    caller.submit(**job)
    caller.run = run  # type: ignore[method-assign]
    return answers[0]


def test_nobody_is_rung_for_what_nobody_can_read_and_everybody_for_the_rest(
    caller: Caller, workers: Workers
) -> None:
    workers.beat("old")
    assert [rings(caller, owner=f"owner {i}", needs=2) for i in range(100)] == [0] * 100
    assert rings(caller) == 1

    workers.beat("new")
    # More wait already than all its slots would be rung for.
    assert rings(caller, needs=2) == 0
    taken(workers.new, 60)
    assert rings(caller, needs=2) == 1


def test_the_reaper_tells_apart_who_is_to_be_rung_for_what(caller: Caller, workers: Workers) -> None:
    workers.beat("old")
    for needs in (1, 2, 2, 3):
        caller.submit(needs=needs)

    reaped = workers.old.reap()
    assert reaped is not None
    assert sorted(reaped.loads, key=lambda load: load.needs) == [
        ModelLoad("m", 1, 1, 1),
        ModelLoad("m", 2, 2, 0),
        ModelLoad("m", 3, 1, 0),
    ]


@pytest.mark.parametrize("alive", ["old", "new"])
def test_a_deadline_that_passes_says_whether_anybody_could_have_read_the_job(
    caller: Caller, workers: Workers, alive: str
) -> None:
    workers.beat(alive)
    job = caller.submit(needs=2)
    caller.client.zadd(caller.keys.key("deadlines"), {job: 1})

    workers.old.reap()

    unread = "The job's deadline passed: no worker came that is new enough to read it."
    late = "The job's deadline passed before its picture was ready."
    message = unread if alive == "old" else late
    assert json.loads(caller.record(job)["error"]) == {"code": "deadline_exceeded", "message": message}


def test_a_job_that_is_handed_on_comes_back_to_no_worker_of_that_version(
    caller: Caller, workers: Workers
) -> None:
    job = caller.submit()
    (attempt,) = workers.old.claim("m", "w", want=1, alone=True).attempts

    status = workers.old.fail(attempt, code="c", message="too old", again="newer")

    assert status == workers.old.fail(attempt, code="c", message="too old", again="newer") == "queued"
    assert taken(workers.old, 3) == []
    assert (caller.record(job)["needs"], caller.record(job)["attempt"]) == ("2", "0")
    assert taken(workers.new, 3) == [job]


def test_nothing_is_left_of_jobs_that_needed_more(caller: Caller, workers: Workers, prefix: str) -> None:
    jobs = [caller.submit(owner=f"owner {i % 3}", needs=1 + i % 3) for i in range(9)]
    taken(workers.new, 2)
    for i, job in enumerate(jobs):
        caller.cancel(job, f"owner {i % 3}")

    names = {key.decode().removeprefix(prefix) for key in caller.client.keys(f"{prefix}*")}
    assert {name.split(":")[0] for name in names} <= {
        "job", "order", "done", "moved", "counts", "models", "history", "vtime", "idle", "claimed",
    }  # fmt: skip


def test_a_pre_upgrade_reader_of_queues_never_meets_a_later_job(caller: Caller) -> None:
    """Where it waits is nowhere that a worker looks which knows nothing of needs."""
    caller.submit(needs=2)

    assert caller.client.zcard(Keys(caller.keys.prefix).key("lanes", "m")) == 0
    assert caller.client.zcard(Keys(caller.keys.prefix).key("lane", "m", "owner")) == 0
