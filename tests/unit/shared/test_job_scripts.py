"""The life of a job, script by script, on fakeredis and on a real Valkey."""

import json
from typing import Any

import pytest
import redis

from shared.errors import (
    IdempotencyMismatch,
    JobNotFound,
    LeaseLost,
    NoWorker,
    QueueFull,
    ResultsFull,
    TooManyJobs,
    WaitTooLong,
)
from shared.job_warnings import JobWarning
from shared.jobs import scripts
from shared.jobs.scripts import DraftIncomplete
from shared.jobs.status import TERMINAL, TRANSITIONS, Status, allowed
from shared.settings import JobSettings
from tests.jobs import Caller
from tests.waiting import wait_until
from worker.attempt import Attempt
from worker.store import WorkerStore

USAGE = {"total_tokens": 1}


@pytest.fixture
def caller(redis_client: redis.Redis, prefix: str) -> Caller:
    return Caller(redis_client, prefix)


@pytest.fixture
def store(redis_client: redis.Redis, prefix: str) -> WorkerStore:
    return WorkerStore(redis_client, JobSettings(), prefix)


def impatient(redis_client: redis.Redis, prefix: str) -> WorkerStore:
    """A store whose leases lapse after 50 ms."""
    return WorkerStore(redis_client, JobSettings(lease_s=0.05, heartbeat_s=0.01, reap_s=0.001), prefix)


def claim(store: WorkerStore, want: int = 1, **more: Any) -> list[Attempt]:
    return list(
        store.claim(more.pop("model", "m"), "w1", want=want, alone=more.pop("alone", True), **more).attempts
    )


def finish(store: WorkerStore, attempt: Attempt, image: bytes = b"aW1hZ2U=") -> None:
    store.save_draft(attempt, [image])
    store.finish(attempt, images=1, usage=USAGE)


def test_a_submitted_job_is_queued_claimed_and_finished(caller: Caller, store: WorkerStore) -> None:
    job_id = caller.submit()
    assert caller.status(job_id) == "queued"

    (attempt,) = claim(store)
    assert (attempt.job_id, attempt.number, caller.status(job_id)) == (job_id, 1, "running")

    finish(store, attempt, b"cGljdHVyZQ==")
    assert caller.status(job_id) == "succeeded"
    assert caller.client.hgetall(caller.keys.result(job_id)) == {b"0": b"cGljdHVyZQ=="}
    assert caller.ended() == [(job_id, "succeeded")]


def test_warnings_are_kept_with_a_finished_job_and_with_no_other(caller: Caller, store: WorkerStore) -> None:
    warned, silent = caller.submit(), caller.submit()
    first, second = claim(store, want=2)
    store.save_draft(first, [b"aW1hZ2U="])
    assert "warnings" not in caller.record(warned)

    store.finish(first, images=1, usage=USAGE, warnings=[JobWarning("size_resampled", 'It "was".')])
    finish(store, second)

    kept = json.loads(caller.record(warned)["warnings"])
    assert kept == [{"code": "size_resampled", "message": 'It "was".'}]
    assert "warnings" not in caller.record(silent)


def test_nothing_is_left_over_when_every_job_has_ended(caller: Caller, store: WorkerStore) -> None:
    ids = [caller.submit(lane=f"lane{n % 2}") for n in range(4)]
    caller.cancel(ids[3])
    attempts = claim(store, want=3)
    finish(store, attempts[0])
    store.fail(attempts[1], code="generation_failed", message="no")
    caller.cancel(attempts[2].job_id)

    names = {
        key.decode().removeprefix(caller.keys.prefix).split(":")[0]
        for key in caller.client.keys(caller.keys.prefix + "*")
    }
    left = {
        "job",
        "history",
        "result",
        "results",
        "result_bytes",
        "done",
        "moved",
        "order",
        "models",
        "vtime",
        "pace",
        "latency",
        "usage",
        "counts",
        "idle",
        "claimed",
    }
    assert names <= left


def test_a_finish_sent_twice_is_one_finish(caller: Caller, store: WorkerStore) -> None:
    job_id = caller.submit()
    (attempt,) = claim(store)
    finish(store, attempt)

    store.finish(attempt, images=1, usage=USAGE)

    assert caller.ended() == [(job_id, "succeeded")]


def test_a_submit_sent_twice_is_one_job(caller: Caller) -> None:
    caller.submit(job_id="same")
    caller.submit(job_id="same")

    assert caller.client.zcard(caller.keys.queue("m")) == 1


def test_a_claim_sent_twice_hands_out_the_same_job(caller: Caller, store: WorkerStore) -> None:
    caller.submit()
    caller.submit()

    first = claim(store, seed="s")
    again = claim(store, seed="s")

    assert first == again
    assert caller.client.zcard(caller.keys.queue("m")) == 1


def test_a_fail_sent_twice_spends_one_attempt(caller: Caller, store: WorkerStore) -> None:
    job_id = caller.submit()
    (attempt,) = claim(store)

    assert store.fail(attempt, code="c", message="m", again="retry") == "queued"
    assert store.fail(attempt, code="c", message="m", again="retry") == "queued"

    assert caller.record(job_id)["attempt"] == "1"
    assert caller.client.zcard(caller.keys.queue("m")) == 1


def test_a_late_attempt_can_change_nothing(caller: Caller, redis_client: redis.Redis, prefix: str) -> None:
    store = impatient(redis_client, prefix)
    job_id = caller.submit()
    (late,) = claim(store)
    wait_until(lambda: (reaped := store.reap()) is not None and reaped.requeued == 1)
    (second,) = claim(store)
    assert (second.number, second.losses) == (2, 1)

    store.save_draft(late, [b"bGF0ZQ=="])
    with pytest.raises(LeaseLost):
        store.finish(late, images=1, usage=USAGE)
    with pytest.raises(LeaseLost):
        store.fail(late, code="c", message="m")
    assert store.renew("w1", ["m"], [(job_id, late.token)], {}) == {job_id: "moved"}
    store.progress([(job_id, late.token, 3, 4)])

    assert caller.record(job_id)["step"] == "0"
    assert not caller.client.exists(caller.keys.draft(job_id, late.token))
    finish(store, second, b"b25jZQ==")
    assert caller.client.hget(caller.keys.result(job_id), "0") == b"b25jZQ=="


def test_a_draft_without_every_image_is_not_a_result(caller: Caller, store: WorkerStore) -> None:
    job_id = caller.submit()
    (attempt,) = claim(store)
    store.save_draft(attempt, [b"b25l"])

    with pytest.raises(DraftIncomplete):
        store.finish(attempt, images=2, usage=USAGE)

    assert caller.status(job_id) == "running"


def test_a_draft_written_again_holds_nothing_of_the_first_try(caller: Caller, store: WorkerStore) -> None:
    job_id = caller.submit()
    (attempt,) = claim(store)
    store.save_draft(attempt, [b"b25l", b"dHdv"])

    finish(store, attempt, b"b25l")

    assert caller.client.hgetall(caller.keys.result(job_id)) == {b"0": b"b25l"}


def test_a_job_whose_workers_are_lost_is_dead_after_its_attempts(
    caller: Caller, redis_client: redis.Redis, prefix: str
) -> None:
    store = impatient(redis_client, prefix)
    job_id = caller.submit(max_attempts=3)
    for number in (1, 2, 3):
        (attempt,) = claim(store)
        assert attempt.number == number
        wait_until(lambda: (reaped := store.reap()) is not None and reaped.requeued + reaped.lost == 1)

    record = caller.record(job_id)
    assert record["status"] == "failed"
    assert json.loads(record["error"])["code"] == "worker_lost"
    assert [entry["outcome"] for entry in json.loads(record["history"])] == ["worker_lost"] * 3
    assert caller.client.xlen(caller.keys.dead) == 1


def test_a_job_that_lost_a_worker_runs_alone(caller: Caller, redis_client: redis.Redis, prefix: str) -> None:
    store = impatient(redis_client, prefix)
    caller.submit()
    claim(store)
    wait_until(lambda: (reaped := store.reap()) is not None and reaped.requeued == 1)
    caller.submit()

    busy = store.claim("m", "w1", want=2, alone=False)
    idle = store.claim("m", "w1", want=2, alone=True)

    assert (busy.attempts, busy.held_back) == ((), True)
    assert [attempt.losses for attempt in idle.attempts] == [1]


def test_a_reaper_that_was_away_extends_every_lease(
    caller: Caller, redis_client: redis.Redis, prefix: str
) -> None:
    store = impatient(redis_client, prefix)
    job_id = caller.submit()
    claim(store)
    store.reap()
    wait_until(
        lambda: not caller.client.zrangebyscore(caller.keys.key("leases"), "(" + str(_now(caller)), "+inf")
    )
    caller.client.set(caller.keys.key("reaped_at"), _now(caller) - 60_000)

    reaped = store.reap()

    assert reaped is not None
    assert (reaped.requeued, caller.status(job_id)) == (0, "running")
    assert caller.client.zscore(caller.keys.key("leases"), job_id) > _now(caller) - 10


def test_a_job_handed_back_has_spent_no_attempt(caller: Caller, store: WorkerStore) -> None:
    job_id = caller.submit()
    (attempt,) = claim(store)

    assert store.fail(attempt, code="attempt_cancelled", message="stopping", again="free") == "queued"

    assert caller.record(job_id)["attempt"] == "0"
    (again,) = claim(store)
    assert (again.number, again.losses) == (1, 0)
    assert again.token != attempt.token


def test_retryable_failures_end_after_the_last_attempt(caller: Caller, store: WorkerStore) -> None:
    caller.submit(max_attempts=2)

    assert store.fail(claim(store)[0], code="c", message="m", again="retry") == "queued"
    assert store.fail(claim(store)[0], code="c", message="m", again="retry") == "failed"


@pytest.mark.parametrize("running", [False, True])
def test_a_cancelled_job_never_runs_on(caller: Caller, store: WorkerStore, running: bool) -> None:
    job_id = caller.submit()
    attempt = claim(store)[0] if running else None

    assert caller.cancel(job_id) == "cancelled"

    assert claim(store) == []
    if attempt:
        assert store.renew("w1", ["m"], [(job_id, attempt.token)], {}) == {job_id: "cancelled"}
    assert caller.ended() == [(job_id, "cancelled")]


def test_an_attempt_cannot_finish_a_job_that_was_cancelled_under_it(
    caller: Caller, store: WorkerStore
) -> None:
    job_id = caller.submit()
    (attempt,) = claim(store)
    caller.cancel(job_id)

    with pytest.raises(LeaseLost):
        finish(store, attempt)

    assert caller.status(job_id) == "cancelled"
    assert not caller.client.exists(caller.keys.result(job_id))


def test_a_job_lives_while_a_caller_holds_it(caller: Caller) -> None:
    held = caller.keys.key("held")
    job_id = caller.submit(holder="api1", hold_ms=50)
    caller.run("hold", holder="api2", hold_ms=600_000, ids=json.dumps([job_id]))

    caller.release(job_id, "api1", grace_ms=0)
    assert caller.status(job_id) == "queued"
    assert caller.client.zscore(held, job_id) > _now(caller) + 500_000
    caller.release(job_id, "api2", grace_ms=0)

    assert caller.status(job_id) == "cancelled"


def test_a_job_is_abandoned_after_its_grace(caller: Caller, redis_client: redis.Redis, prefix: str) -> None:
    store = WorkerStore(redis_client, JobSettings(reap_s=0.001), prefix)
    job_id = caller.submit(holder="api1")
    caller.release(job_id, "api1", grace_ms=20)

    wait_until(lambda: (reaped := store.reap()) is not None and reaped.abandoned == 1)

    assert caller.status(job_id) == "cancelled"


def test_a_retry_within_the_grace_keeps_the_job(caller: Caller) -> None:
    job_id = caller.submit(holder="api1", body_digest="b")
    caller.release(job_id, "api1", grace_ms=20)

    assert caller.submit(holder="api2", body_digest="b", retry=1, hold_ms=600_000) == job_id

    assert caller.client.zscore(caller.keys.key("held"), job_id) > _now(caller) + 500_000


def test_a_job_somebody_wants_anyway_is_never_abandoned(caller: Caller) -> None:
    job_id = caller.submit(holder="api1", body_digest="b")
    caller.submit(holder="", body_digest="b", retry=1)

    caller.release(job_id, "api1", grace_ms=0)

    assert caller.status(job_id) == "queued"
    assert not caller.client.exists(caller.keys.key("held"))


def taught(caller: Caller, pace_ms: float) -> None:
    caller.client.hset(caller.keys.key("pace"), "m", pace_ms)


def test_a_wait_that_would_be_too_long_is_refused(caller: Caller) -> None:
    taught(caller, 1.0)
    for _ in range(3):
        caller.submit(cost=1000)

    with pytest.raises(WaitTooLong):
        caller.submit(cost=1000, max_wait_ms=3500)
    # Another owner's turn comes sooner.
    caller.submit(owner="other", cost=1000, max_wait_ms=3500)


def test_an_owner_that_owes_too_much_work_is_refused(caller: Caller) -> None:
    taught(caller, 1.0)
    caller.submit(cost=1000)

    with pytest.raises(TooManyJobs):
        caller.submit(cost=1000, max_owed_ms=1500)
    caller.submit(owner="other", cost=2000, max_owed_ms=1500)


def test_results_nobody_fetches_refuse_new_jobs_until_they_expire(
    caller: Caller, redis_client: redis.Redis, prefix: str
) -> None:
    store = WorkerStore(redis_client, JobSettings(reap_s=0.001), prefix)
    caller.submit()
    (attempt,) = claim(store)
    store.save_draft(attempt, [b"x" * 100])
    store.finish(attempt, images=1, usage=USAGE, size_bytes=100)

    with pytest.raises(ResultsFull):
        caller.submit(max_result_bytes=99)
    (entry,) = caller.client.zrange(caller.keys.key("results"), 0, -1)
    caller.client.zadd(caller.keys.key("results"), {entry: 1})
    wait_until(store.reap)

    assert not caller.client.exists(caller.keys.key("result_bytes"))
    caller.submit(max_result_bytes=99)


def test_the_error_of_a_prediction_is_measured(caller: Caller, store: WorkerStore) -> None:
    taught(caller, 5.0)
    caller.submit(cost=10_000)
    (attempt,) = claim(store)
    store.save_draft(attempt, [b"x"])

    error_ms = store.finish(attempt, images=1, usage=USAGE, size_bytes=1)

    assert 40_000 < error_ms <= 50_000
    assert float(caller.client.hget(caller.keys.key("eta_error"), "m")) > 1


def test_cancelling_a_finished_job_leaves_it_as_it_is(caller: Caller, store: WorkerStore) -> None:
    job_id = caller.submit()
    finish(store, claim(store)[0])

    assert caller.cancel(job_id) == "succeeded"


def test_another_owners_job_cannot_be_cancelled(caller: Caller) -> None:
    job_id = caller.submit(owner="alice")

    with pytest.raises(JobNotFound):
        caller.cancel(job_id, owner="bob")

    assert caller.status(job_id) == "queued"


def test_a_deadline_ends_queued_and_running_jobs(
    caller: Caller, redis_client: redis.Redis, prefix: str
) -> None:
    store = WorkerStore(redis_client, JobSettings(reap_s=0.001), prefix)
    running = caller.submit()
    claim(store)
    queued = caller.submit()
    redis_client.zadd(store.keys.key("deadlines"), {running: 1, queued: 1})
    expired = 0

    def both() -> bool:
        nonlocal expired
        reaped = store.reap()
        expired += reaped.expired if reaped else 0
        return expired == 2

    wait_until(both)
    for job_id in (running, queued):
        assert json.loads(caller.record(job_id)["error"])["code"] == "deadline_exceeded"


def test_a_claim_passes_over_a_job_whose_deadline_has_passed(caller: Caller, store: WorkerStore) -> None:
    job_id = caller.submit(deadline_ms=1)
    wait_until(lambda: int(caller.record(job_id)["deadline_at"]) < _now(caller))

    assert claim(store) == []
    assert caller.status(job_id) == "failed"


def test_one_owners_thousand_do_not_delay_anothers_one(caller: Caller, store: WorkerStore) -> None:
    for _ in range(50):
        caller.submit(owner="many")
    claim(store, want=5)
    single = caller.submit(owner="one")

    position = caller.place(single)[0]
    (attempt, *_) = claim(store, want=2)

    assert position <= 1
    assert single in {attempt.job_id, *(a.job_id for a in _)}


def test_owners_share_by_cost_and_weight(caller: Caller, store: WorkerStore) -> None:
    for _ in range(40):
        caller.submit(owner="heavy", cost=4000)
        caller.submit(owner="light", cost=1000)
        caller.submit(owner="paying", cost=1000, weight="2")

    served = [caller.record(a.job_id)["owner"] for a in claim(store, want=39)]

    # Equal work for equal weights: four light jobs to a heavy one, and twice that for twice the weight.
    assert served.count("heavy") == pytest.approx(3, abs=1)
    assert served.count("light") == pytest.approx(12, abs=1)
    assert served.count("paying") == pytest.approx(24, abs=1)


def test_an_owner_cannot_gain_by_waiting_for_its_queue_to_empty(caller: Caller, store: WorkerStore) -> None:
    for _ in range(20):
        caller.submit(owner="steady")
    served = []
    for _ in range(12):
        caller.submit(owner="pulsing")
        served.append(caller.record(claim(store)[0].job_id)["owner"])
        served.append(caller.record(claim(store)[0].job_id)["owner"])

    assert served.count("steady") == pytest.approx(12, abs=1)


def test_a_requeued_job_goes_before_its_owners_others(caller: Caller, store: WorkerStore) -> None:
    first = caller.submit()
    caller.submit()
    (attempt,) = claim(store)
    store.fail(attempt, code="c", message="m", again="free")

    assert claim(store)[0].job_id == first


def test_limits_refuse_and_store_nothing(caller: Caller) -> None:
    caller.submit(owner="full", model="n")

    with pytest.raises(TooManyJobs):
        caller.submit(owner="full", job_id="refused", max_unfinished=1)
    with pytest.raises(QueueFull):
        caller.submit(owner="other", job_id="refused", max_queued=1)
    with pytest.raises(NoWorker):
        caller.submit(owner="other", job_id="refused", worker_grace_ms=1000)

    assert caller.status("refused") == "gone"


def test_a_heartbeat_makes_a_model_available(caller: Caller, store: WorkerStore) -> None:
    store.renew("w1", ["m"], [], {"device": "cpu"})

    assert caller.status(caller.submit(worker_grace_ms=1000)) == "queued"


def test_an_idempotency_key_replays_its_job(caller: Caller) -> None:
    key = caller.keys.key("replay", "owner", "k")
    first = caller.submit(replay_key=key, body_digest="b1")

    assert caller.submit(replay_key=key, body_digest="b1") == first
    with pytest.raises(IdempotencyMismatch):
        caller.submit(replay_key=key, body_digest="b2")


def test_a_retry_attaches_to_the_live_job_with_its_body(caller: Caller) -> None:
    first = caller.submit(body_digest="b1")

    assert caller.submit(body_digest="b1", retry=1) == first
    assert caller.submit(body_digest="b2", retry=1) != first
    assert caller.submit(body_digest="b1", retry=0) != first


def held(caller: Caller, holder: str = "api1", **more: Any) -> str:
    return caller.submit(holder=holder, body_digest="b", hold_ms=600_000, **more)


def drawn(store: WorkerStore) -> None:
    (attempt,) = claim(store)
    finish(store, attempt)


def test_a_retry_never_gets_a_picture_that_a_caller_has(caller: Caller, store: WorkerStore) -> None:
    first = held(caller)
    drawn(store)
    caller.answer(first, "api1")

    assert held(caller, "api2", retry=1) != first


def test_a_retry_gets_the_picture_that_was_drawn_when_nobody_was_left(
    caller: Caller, store: WorkerStore
) -> None:
    first = held(caller)
    caller.release(first, "api1")
    drawn(store)

    assert held(caller, "api2", retry=1) == first
    caller.answer(first, "api2")
    assert held(caller, "api3", retry=1) != first


def test_a_picture_on_its_way_to_a_caller_is_given_to_no_call_that_was_refused(
    caller: Caller, store: WorkerStore
) -> None:
    first = held(caller)
    drawn(store)
    caller.refused("b")

    assert held(caller, "api2", retry=1) != first


def test_a_picture_that_a_dead_process_has_not_delivered_is_the_retrys(
    caller: Caller, store: WorkerStore
) -> None:
    first, second = held(caller, "dead"), held(caller, "dead")
    drawn(store)

    # What is still drawn comes first, and each is one retry's.
    assert held(caller, "api2", retry=1) == second
    caller.answer(second, "api2")
    assert held(caller, "api2", retry=1) == first


def test_a_caller_that_takes_its_picture_slowly_is_still_there(caller: Caller, store: WorkerStore) -> None:
    slow = caller.submit(holder="api1", body_digest="b", hold_ms=600_000)
    left = caller.submit(holder="api1", body_digest="b", hold_ms=600_000)
    drawn(store)
    drawn(store)
    holders = caller.keys.key("holders", slow)
    caller.client.zadd(holders, {"api1": 1})
    caller.run("hold", holder="api1", hold_ms=600_000, ids=json.dumps([slow]))
    caller.release(left, "api1")

    assert held(caller, "api2", retry=1) == left, "the other one has somebody"
    assert 0 < caller.client.pttl(holders) <= 600_000


def test_a_process_that_died_with_a_drawn_picture_leaves_it_to_a_retry(
    caller: Caller, store: WorkerStore
) -> None:
    first = caller.submit(holder="api1", body_digest="b", hold_ms=50)
    drawn(store)
    holders = caller.keys.key("holders", first)
    wait_until(lambda: not caller.client.exists(holders), 5)

    assert held(caller, "api2", retry=1) == first


def test_a_retry_gets_no_picture_that_has_expired(caller: Caller, store: WorkerStore) -> None:
    first = held(caller)
    caller.release(first, "api1")
    drawn(store)
    caller.client.hset(caller.keys.job(first), "expires_at", 1)

    assert held(caller, "api2", retry=1) != first


def test_of_several_calls_with_one_body_a_retry_gets_the_one_that_was_left(caller: Caller) -> None:
    jobs = [held(caller), held(caller), held(caller)]
    caller.release(jobs[1], "api1")

    assert held(caller, "api2", retry=1) == jobs[1]
    # The rest are held by calls that may have gone unseen: each is another retry's.
    assert {held(caller, "api2", retry=1) for _ in range(3)} == set(jobs)


def test_a_call_that_was_refused_shares_no_job_of_another_call(caller: Caller) -> None:
    other = held(caller)
    caller.refused("b")

    retried = held(caller, "api2", retry=1)
    assert retried != other
    # It was refused once.
    assert held(caller, "api2", retry=1) in {other, retried}


def test_a_refusal_is_forgotten_by_the_retry_that_finds_no_job(caller: Caller) -> None:
    caller.refused("b")
    first = held(caller, retry=1)

    assert held(caller, "api2", retry=1) == first


def test_refusals_of_one_body_concern_no_other(caller: Caller) -> None:
    first = held(caller)
    caller.refused("another body")
    caller.refused("b", owner="another")

    assert held(caller, "api2", retry=1) == first


def test_so_many_refusals_are_remembered(caller: Caller) -> None:
    for n in range(5):
        caller.refused(f"b{n}")

    assert caller.client.lrange(caller.keys.key("refused", "owner"), 0, -1) == [b"b4", b"b3", b"b2"]
    assert 0 < caller.client.pttl(caller.keys.key("refused", "owner")) <= 60_000


def test_a_job_whose_id_its_caller_knows_is_no_retrys_once_it_has_ended(
    caller: Caller, store: WorkerStore
) -> None:
    first = caller.submit(body_digest="b")
    assert caller.submit(body_digest="b", retry=1) == first
    drawn(store)

    assert caller.submit(body_digest="b", retry=1) != first


def test_a_caller_that_is_told_the_id_after_a_while_can_fetch_the_picture(
    caller: Caller, store: WorkerStore
) -> None:
    early, late = held(caller, keep=1), held(caller, keep=1)
    caller.release(early, "api1", grace_ms=-1, told=True)
    drawn(store)
    drawn(store)
    caller.release(late, "api1", grace_ms=-1, told=True)

    assert held(caller, "api2", retry=1) not in {early, late}


def test_a_job_that_is_kept_is_held_and_never_abandoned(caller: Caller) -> None:
    first = held(caller, keep=1)
    assert not caller.client.exists(caller.keys.key("held"))
    other = held(caller, "api2", keep=1)
    caller.release(first, "api1", grace_ms=0)

    assert caller.status(first) == "queued"
    assert held(caller, "api3", retry=1) == first, "nobody waits for it: it comes before one that is held"
    assert other


def test_an_idempotency_key_tells_calls_apart_and_not_their_bodies(caller: Caller) -> None:
    first = held(caller, replay_key=caller.keys.key("replay", "k1"))

    assert held(caller, replay_key=caller.keys.key("replay", "k2"), retry=1) != first
    assert held(caller, retry=1) != first


def test_no_more_than_a_hundred_calls_with_one_body_are_kept_apart(caller: Caller) -> None:
    jobs = [held(caller) for _ in range(102)]
    caller.release(jobs[0], "api1")

    name = caller.keys.key("unanswered", "owner", "b")
    assert [i.decode() for i in caller.client.zrange(name, 0, -1)] == jobs[2:]
    assert held(caller, "api2", retry=1) == jobs[2]


def test_a_retry_after_a_cancel_is_a_new_job(caller: Caller) -> None:
    first = caller.submit(body_digest="b1")
    caller.cancel(first)

    assert caller.submit(body_digest="b1", retry=1) != first


def test_the_place_in_the_queue_counts_what_runs_before(caller: Caller, store: WorkerStore) -> None:
    ids = [caller.submit() for _ in range(3)]

    assert [caller.place(job_id)[0] for job_id in ids] == [0, 1, 2]
    claim(store)
    assert [caller.place(job_id)[0] for job_id in ids] == [-1, 0, 1]


def test_finished_jobs_teach_the_pace(caller: Caller, store: WorkerStore) -> None:
    caller.submit(cost=10)
    (attempt,) = claim(store)
    wait_until(lambda: _now(caller) > int(caller.record(attempt.job_id)["started_at"]) + 20)
    finish(store, attempt)

    pace_ms = float(caller.client.hget(caller.keys.key("pace"), "m"))
    assert 2 <= pace_ms < 1000


@pytest.mark.parametrize(
    "name",
    [
        "submit",
        "claim",
        "renew",
        "progress",
        "preview",
        "finish",
        "fail",
        "cancel",
        "reap",
        "place",
        "hold",
        "release",
        "answer",
        "refuse",
        "dispatch",
        "collect",
        "settle",
    ],
)
def test_every_script_says_what_it_takes_and_returns(name: str) -> None:
    script = scripts.load(name)

    assert script.args[0] == "prefix"
    assert "-- @returns " in script.source
    assert "-- @derives " in script.source
    with pytest.raises(TypeError, match="missing or unknown"):
        script.bind("p", {"nonsense": 1})


def test_the_table_of_transitions_leaves_terminal_statuses_alone() -> None:
    assert not any(edge.source in TERMINAL for edge in TRANSITIONS)
    assert allowed(None, Status.QUEUED)
    assert not allowed(Status.SUCCEEDED, Status.QUEUED)


def _now(caller: Caller) -> int:
    seconds, micros = caller.client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def test_a_preview_is_kept_and_told_for_the_attempt_that_runs(
    caller: Caller, store: WorkerStore, redis_client: redis.Redis
) -> None:
    job_id = caller.submit()
    (attempt,) = claim(store)
    listener = redis_client.pubsub()
    listener.subscribe(store.keys.events(job_id))
    assert listener.get_message(timeout=10)

    store.preview(attempt, image=1, partial=2, file=b"cHJldmlldw==")

    assert told(listener) == {"attempt": 1, "image": 1, "partial": 2}
    assert redis_client.hgetall(store.keys.previews(job_id)) == {b"1.2": b"cHJldmlldw=="}
    assert 0 < redis_client.ttl(store.keys.previews(job_id)) <= 120
    finish(store, attempt)
    with pytest.raises(LeaseLost):
        store.preview(attempt, image=0, partial=0, file=b"bGF0ZQ==")
    assert redis_client.hlen(store.keys.previews(job_id)) == 1
    listener.close()


def test_steps_are_told_to_those_who_follow(
    caller: Caller, store: WorkerStore, redis_client: redis.Redis
) -> None:
    job_id = caller.submit()
    (attempt,) = claim(store)
    listener = redis_client.pubsub()
    listener.subscribe(store.keys.events(job_id))
    assert listener.get_message(timeout=10)

    store.progress([(job_id, attempt.token, 3, 8), (job_id, "another token", 5, 8)])

    assert told(listener) == {"attempt": 1, "step": 3, "steps": 8}
    assert listener.get_message(timeout=0.1) is None
    listener.close()


def told(listener: Any) -> dict[str, int]:
    return json.loads(listener.get_message(timeout=10)["data"])


def test_jobs_drawn_together_teach_how_fast_the_queue_drains_and_how_long_each_takes(
    caller: Caller, store: WorkerStore
) -> None:
    caller.submit(cost=100)
    (attempt,) = claim(store)
    caller.client.hincrby(store.keys.job(attempt.job_id), "started_at", -80_000)
    store.save_draft(attempt, [b"aW1hZ2U="])

    store.finish(attempt, images=1, usage=USAGE, device_s=0.1)

    learned = {name: float(caller.client.hget(caller.keys.key(name), "m")) for name in ("pace", "latency")}
    assert learned["pace"] == 1.0
    assert 800 <= learned["latency"] < 900
    waiting = [caller.submit(cost=100) for _ in range(3)]
    place = caller.run("place", job=store.keys.job(waiting[2]), id=waiting[2], live_ms=5000)
    assert [place[0], place[1], float(place[2])] == [2, 200, 1.0]
    assert float(place[4]) == learned["latency"]


def test_no_attempt_is_charged_more_than_the_time_that_passed(caller: Caller, store: WorkerStore) -> None:
    caller.submit(cost=100)
    (attempt,) = claim(store)
    store.save_draft(attempt, [b"aW1hZ2U="])

    store.finish(attempt, images=1, usage=USAGE, device_s=500)

    assert float(caller.client.hget(caller.keys.key("pace"), "m")) < 100
