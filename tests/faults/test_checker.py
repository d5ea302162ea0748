"""The checker itself: a finding for each promise that is broken by hand."""

from collections.abc import Callable

import pytest

from tests.faults.checker import Checker
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.look import Look

Break = Callable[[Cluster, str], object]

BREAKS: dict[str, Break] = {
    "would stay for ever": lambda cluster, _: cluster.store.set(f"{PREFIX}stray", 1),
    "key leases is left": lambda cluster, job: cluster.store.zadd(f"{PREFIX}leases", {job: 1}),
    "key owed:somebody is left": lambda cluster, _: cluster.store.set(f"{PREFIX}owed:somebody", 1),
    "was announced as": lambda cluster, job: cluster.store.xadd(
        f"{PREFIX}done", {"id": job, "status": "succeeded"}
    ),
    "has no result": lambda cluster, job: cluster.store.delete(f"{PREFIX}result:{job}"),
    "not of the winner": lambda cluster, job: cluster.store.hset(f"{PREFIX}job:{job}", "token", "another"),
    "its winner drew": lambda cluster, job: cluster.store.hset(
        f"{PREFIX}result:{job}", "1", cluster.store.hget(f"{PREFIX}result:{job}", "0")
    ),
    "is running": lambda cluster, job: cluster.store.hset(f"{PREFIX}job:{job}", "status", "running"),
    "for no reason": lambda cluster, job: cluster.store.hset(
        f"{PREFIX}job:{job}", mapping={"status": "failed", "error": '{"code": "worker_lost"}'}
    ),
    "result_bytes is": lambda cluster, _: cluster.store.incrby(f"{PREFIX}result_bytes", 1),
    "are counted as light:ended:succeeded": lambda cluster, _: cluster.store.hincrby(
        f"{PREFIX}counts", "light:ended:succeeded", 1
    ),
    "are counted as light:failed:worker_lost": lambda cluster, _: cluster.store.hincrby(
        f"{PREFIX}counts", "light:failed:worker_lost", 1
    ),
    "has no record": lambda cluster, job: cluster.store.delete(f"{PREFIX}job:{job}"),
}


@pytest.mark.parametrize("finding", sorted(BREAKS))
async def test_a_broken_promise_is_found(cluster: Cluster, caller: Caller, finding: str) -> None:
    look = Look(cluster, caller.accepted)
    job_id = await caller.submit("a picture slow:1")
    await look.ended(job_id)
    checker = Checker(cluster.store, PREFIX)
    assert checker.problems([job_id], cluster.events.all()) == []

    BREAKS[finding](cluster, job_id)

    found = checker.problems([job_id], cluster.events.all())
    assert any(finding in problem for problem in found), found
