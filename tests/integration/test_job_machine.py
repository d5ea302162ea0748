"""A Hypothesis state machine drives the scripts on a real server against a plain model of the life of a job.

Time is made to pass by moving the instants that the scripts compare (lease, deadline, hold): nothing here
sleeps.
"""

import json
import secrets
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.errors import DarkroomError, LeaseLost, QueueFull, TooManyJobs
from shared.settings import JobSettings
from tests.jobs import Caller
from worker.attempt import Attempt
from worker.store import WorkerStore

NEWEST = 3
MAX_ATTEMPTS = 3
MAX_QUEUED = 8
MAX_UNFINISHED = 5
OWNERS = ("ann", "bob", "cyd")
QUEUES = {"m": False, "m~low": True}


@dataclass
class Job:
    """What the model knows of one job."""

    id: str
    owner: str
    cost: int
    held: bool
    needs: int
    low: bool
    status: str = "queued"
    attempt: int = 0
    losses: int = 0
    token: str = ""
    image: bytes | None = None

    @property
    def live(self) -> bool:
        return self.status in {"queued", "running"}


@dataclass
class World:
    """Every attempt that was ever handed out, the late ones too."""

    attempts: list[Attempt] = field(default_factory=list)


class JobMachine(RuleBasedStateMachine):
    client: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"m{secrets.token_hex(4)}:"
        self.caller = Caller(self.client, self.prefix)
        # No tick is too soon and no silence too long, unless a rule says so.
        impatient = JobSettings(reap_s=0.0001)
        # Workers of several versions, each reads another one of the params.
        self.stores = [
            WorkerStore(self.client, impatient, self.prefix, reads=reads) for reads in range(1, NEWEST + 1)
        ]
        self.store = self.stores[-1]
        self.jobs: dict[str, Job] = {}
        self.world = World()
        self.pulse()

    def teardown(self) -> None:
        keys = self.client.keys(f"{self.prefix}*")
        if keys:
            self.client.delete(*keys)

    # --- what callers do ---

    @rule(
        owner=st.sampled_from(OWNERS),
        cost=st.integers(1, 5000),
        held=st.booleans(),
        needs=st.sampled_from([1, 1, 2, NEWEST, NEWEST + 1]),
        low=st.booleans(),
    )
    def submit(self, owner: str, cost: int, held: bool, needs: int, low: bool) -> None:
        others = [job for job in self.jobs.values() if not job.low]
        queued = sum(job.status == "queued" for job in others)
        unfinished = sum(job.live for job in others if job.owner == owner)
        job_id = f"job{len(self.jobs)}"
        options: dict[str, Any] = {"holder": "api" if held else "", "hold_ms": 10**9}
        try:
            self.caller.submit(
                job_id=job_id,
                owner=owner,
                cost=cost,
                max_attempts=MAX_ATTEMPTS,
                max_queued=MAX_QUEUED,
                max_unfinished=MAX_UNFINISHED,
                deadline_ms=10**9,
                needs=needs,
                low=low,
                **options,
            )
        except QueueFull:
            assert not low
            assert queued >= MAX_QUEUED
        except TooManyJobs:
            assert not low
            assert unfinished >= MAX_UNFINISHED
        else:
            assert low or queued < MAX_QUEUED
            assert low or unfinished < MAX_UNFINISHED
            self.jobs[job_id] = Job(job_id, owner, cost, held, needs, low)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(list(self.jobs.values())))
        assert self.caller.submit(job_id=job.id, owner=job.owner) == job.id

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(list(self.jobs.values())))
        expected = "cancelled" if job.live else job.status
        assert self.caller.cancel(job.id, job.owner) == expected
        job.status = expected

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), grace_ms=st.sampled_from([-1, 0, 10**9]))
    def release(self, data: st.DataObject, grace_ms: int) -> None:
        job = data.draw(st.sampled_from(list(self.jobs.values())))
        self.caller.release(job.id, "api", grace_ms=grace_ms)
        if job.live and job.held and grace_ms == 0:
            job.status = "cancelled"
        elif job.live and grace_ms < 0:
            job.held = False

    # --- what workers do ---

    @rule(want=st.integers(0, 3), low=st.integers(0, 2), alone=st.booleans(), reads=st.integers(1, NEWEST))
    def claim(self, want: int, low: int, alone: bool, reads: int) -> None:
        queued = [job for job in self.jobs.values() if job.status == "queued" and job.needs <= reads]
        others, lows = ([job for job in queued if job.low == is_low] for is_low in (False, True))
        claim = self.stores[reads - 1].claim("m", "w", want=want, low=low, alone=alone)
        taken = [attempt.job_id for attempt in claim.attempts]
        assert all(attempt.low == self.jobs[attempt.job_id].low for attempt in claim.attempts)
        readable, most = (others, want) if others else (lows, low)
        first = {job.owner: job.id for job in reversed(readable)}
        assert set(taken) <= {job.id for job in readable}, "it takes what it can read, and low jobs last"
        lost = any(job.losses for job in readable)
        assert len(taken) == min(most, len(readable)) or lost
        assert not claim.held_back or others, "no low job keeps a worker from taking others"
        assert claim.held_back or want or not others, "asked for none, it says that some wait"
        assert not taken or taken[0] in first.values(), "a lane's jobs start in order"
        for attempt in claim.attempts:
            job = self.jobs[attempt.job_id]
            assert job.status == "queued"
            assert attempt.losses == job.losses
            job.status, job.attempt, job.token = "running", job.attempt + 1, attempt.token
            assert attempt.number == job.attempt
        lost = [attempt for attempt in claim.attempts if attempt.losses]
        assert not lost or (alone and len(claim.attempts) == 1), "a job that lost a worker runs alone"
        self.world.attempts.extend(claim.attempts)

    @precondition(lambda self: self.world.attempts)
    @rule(data=st.data(), image=st.binary(min_size=1, max_size=8), whole=st.booleans())
    def finish(self, data: st.DataObject, image: bytes, whole: bool) -> None:
        """Any attempt that ever was may come and finish, the late writer above all."""
        attempt = data.draw(st.sampled_from(self.world.attempts))
        job = self.jobs[attempt.job_id]
        owns = job.status == "running" and job.token == attempt.token
        did = job.status == "succeeded" and job.token == attempt.token
        if not did:
            self.store.save_draft(attempt, [image] if whole else [image, image])
        try:
            self.store.finish(attempt, images=1, usage={}, size_bytes=len(image))
        except LeaseLost:
            assert not owns
            assert not did
            assert not self.client.exists(self.caller.keys.draft(job.id, attempt.token))
        except DarkroomError:
            assert owns
            assert not whole
        else:
            assert did or (owns and whole)
            if owns:
                job.status, job.image = "succeeded", image

    @precondition(lambda self: self.world.attempts)
    @rule(data=st.data(), again=st.sampled_from(["never", "retry", "free"]))
    def fail(self, data: st.DataObject, again: Any) -> None:
        attempt = data.draw(st.sampled_from(self.world.attempts))
        job = self.jobs[attempt.job_id]
        owns = job.status == "running" and job.token == attempt.token
        try:
            status = self.store.fail(attempt, code="c", message="m", again=again)
        except LeaseLost:
            assert not owns
            return
        if not owns:
            # The same report, sent twice.
            assert status == job.status
            return
        if again == "free":
            job.status, job.attempt = "queued", job.attempt - 1
        else:
            job.status = "queued" if again == "retry" and job.attempt < MAX_ATTEMPTS else "failed"
        job.token = ""
        assert status == job.status

    @precondition(lambda self: self.world.attempts)
    @rule(data=st.data(), reads=st.integers(1, NEWEST))
    def hand_on(self, data: st.DataObject, reads: int) -> None:
        """A worker finds that it cannot read what it took: from then on only newer ones see the job."""
        attempt = data.draw(st.sampled_from(self.world.attempts))
        job = self.jobs[attempt.job_id]
        owns = job.status == "running" and job.token == attempt.token
        try:
            status = self.stores[reads - 1].fail(attempt, code="c", message="m", again="newer")
        except LeaseLost:
            assert not owns
            return
        assert status == ("queued" if owns else job.status)
        if owns:
            job.status, job.attempt, job.token = "queued", job.attempt - 1, ""
            job.needs = max(job.needs, reads + 1)

    @precondition(lambda self: self.world.attempts)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.world.attempts))
        job = self.jobs[attempt.job_id]
        owns = job.status == "running" and job.token == attempt.token
        lost = self.store.renew("w", ["m"], [(attempt.job_id, attempt.token)], {})
        if owns:
            assert lost == {}
        else:
            assert lost == {job.id: "moved" if job.live else job.status}

    @precondition(lambda self: self.world.attempts)
    @rule(data=st.data(), step=st.integers(1, 9))
    def progress(self, data: st.DataObject, step: int) -> None:
        attempt = data.draw(st.sampled_from(self.world.attempts))
        job = self.jobs[attempt.job_id]
        before = self.client.hget(self.caller.keys.job(job.id), "step")
        self.store.progress([(attempt.job_id, attempt.token, step, 9)])
        after = self.client.hget(self.caller.keys.job(job.id), "step")
        assert after == (b"%d" % step if job.status == "running" and job.token == attempt.token else before)

    # --- what time does ---

    @precondition(lambda self: any(job.status == "running" for job in self.jobs.values()))
    @rule(data=st.data())
    def lapse(self, data: st.DataObject) -> None:
        """A lease ends without a renewal, and the reaper comes by."""
        job = data.draw(st.sampled_from([job for job in self.jobs.values() if job.status == "running"]))
        self.client.zadd(self.caller.keys.key("leases"), {job.id: 1})
        self.pulse()
        assert self.store.reap() is not None
        job.losses += 1
        job.status, job.token = ("queued" if job.losses < MAX_ATTEMPTS else "failed"), ""

    @precondition(lambda self: any(job.status == "running" for job in self.jobs.values()))
    @rule(data=st.data())
    def lapse_while_nobody_could_renew(self, data: st.DataObject) -> None:
        """The same after a silence of all reapers: nothing is lost."""
        job = data.draw(st.sampled_from([job for job in self.jobs.values() if job.status == "running"]))
        self.client.zadd(self.caller.keys.key("leases"), {job.id: 1})
        self.pulse(ago_ms=60_000)
        reaped = self.store.reap()
        assert reaped is not None
        assert reaped.requeued == reaped.lost == 0

    @precondition(lambda self: any(job.live for job in self.jobs.values()))
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([job for job in self.jobs.values() if job.live]))
        self.client.zadd(self.caller.keys.key("deadlines"), {job.id: 1})
        self.pulse()
        assert self.store.reap() is not None
        job.status = "failed"

    @precondition(lambda self: any(job.live and job.held for job in self.jobs.values()))
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([job for job in self.jobs.values() if job.live and job.held]))
        self.client.zadd(self.caller.keys.key("held"), {job.id: 1})
        self.pulse()
        reaped = self.store.reap()
        assert reaped is not None
        assert reaped.abandoned == 1
        job.status = "cancelled"

    def pulse(self, ago_ms: int = 10) -> None:
        """Pretend that the last reaper tick was ``ago_ms`` ago."""
        seconds, micros = self.client.time()
        self.client.set(self.caller.keys.key("reaped_at"), int(seconds) * 1000 + int(micros) // 1000 - ago_ms)

    # --- what always holds ---

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        key, jobs = self.caller.keys.key, self.jobs.values()
        for job in jobs:
            record = self.caller.record(job.id)
            assert (record["status"], int(record["attempt"])) == (job.status, job.attempt)
            assert int(record["losses"]) == job.losses
        for queue, low in QUEUES.items():
            queued = [job for job in jobs if job.status == "queued" and job.low == low]
            assert self._members(key("queue", queue)) == {job.id for job in queued}
            assert int(self.client.get(key("backlog", queue)) or 0) == sum(job.cost for job in queued)
        running = {job.id for job in jobs if job.low and job.status == "running"}
        assert {member.decode() for member in self.client.smembers(key("low_running"))} == running
        assert self._members(key("leases")) == {job.id for job in jobs if job.status == "running"}
        assert self._members(key("deadlines")) == {job.id for job in jobs if job.live}
        assert self._members(key("held")) == {job.id for job in jobs if job.live and job.held}

    @invariant()
    def every_owners_books_are_right(self) -> None:
        key = self.caller.keys.key
        for owner in OWNERS:
            owned = [job for job in self.jobs.values() if job.owner == owner and not job.low]
            assert self._members(key("unfinished", owner)) == {job.id for job in owned if job.live}
            assert int(self.client.get(key("owed", owner)) or 0) == sum(j.cost for j in owned if j.live)

    @invariant()
    def every_lane_stands_where_its_jobs_can_be_read(self) -> None:
        for queue, low in QUEUES.items():
            queued = [job for job in self.jobs.values() if job.status == "queued" and job.low == low]
            self._stands(queue, queued)

    def _stands(self, queue: str, queued: list[Job]) -> None:
        key = self.caller.keys.key
        counted = {int(needs): int(jobs) for needs, jobs in self.client.hgetall(key("newer", queue)).items()}
        assert counted == Counter(job.needs for job in queued if job.needs > 1)
        tags: dict[str, set[float]] = defaultdict(set)
        for needs in range(1, NEWEST + 2):
            at = queue if needs == 1 else f"{queue}@{needs}"
            lanes = {
                name.decode(): tag
                for name, tag in self.client.zrange(key("lanes", at), 0, -1, withscores=True)
            }
            for owner in OWNERS:
                waiting = {job.id for job in queued if job.owner == owner and job.needs == needs}
                assert self._members(key("lane", at, owner)) == waiting
                assert (owner in lanes) == bool(waiting)
            for owner, tag in lanes.items():
                tags[owner].add(tag)
        assert all(len(each) == 1 for each in tags.values()), "a lane has one tag, wherever it stands"

    @invariant()
    def an_end_is_announced_once_and_its_result_never_changes(self) -> None:
        ended = self.caller.ended()
        assert len(ended) == len({job_id for job_id, _ in ended})
        assert dict(ended) == {job.id: job.status for job in self.jobs.values() if not job.live}
        for job in self.jobs.values():
            result = self.client.hgetall(self.caller.keys.result(job.id))
            assert result == ({b"0": job.image} if job.image is not None else {})
            error = self.caller.record(job.id).get("error", "")
            if job.status in {"failed", "cancelled"}:
                assert json.loads(error)["code"]

    def _members(self, name: str) -> set[str]:
        return {member.decode() for member in self.client.zrange(name, 0, -1)}


@pytest.mark.integration
@pytest.mark.timeout(300)
@pytest.mark.slow
def test_scripts_follow_the_model(valkey: Any) -> None:
    class Machine(JobMachine):
        client = redis.Redis.from_url(valkey.url)

    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=80,
                stateful_step_count=40,
                deadline=None,
                # The same examples each time: a landing must not hang on luck, chaos looks for news.
                derandomize=True,
                suppress_health_check=list(HealthCheck),
                database=None,
                print_blob=True,
            ),
        )
    finally:
        Machine.client.close()
