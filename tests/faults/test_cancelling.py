"""Jobs that are no longer wanted, or no longer in time."""

import time

import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.look import Look

STEP_S = 0.1


async def test_a_cancelled_job_never_starts_or_stops_at_its_next_step(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    running = [await caller.submit(f"picture {i} slow:100", quality="high") for i in range(2)]
    for job_id in running:
        await look.stepping(job_id)
    queued = await caller.submit("never drawn")

    asked_at = time.monotonic()
    answer = await caller.cancel(queued)
    times.record("cancel-queued", time.monotonic() - asked_at, 0.05)
    assert answer["status"] == "cancelled"
    for job_id in running:
        token = look.record(job_id)["token"]
        asked_at = time.monotonic()
        answer = await caller.cancel(job_id)
        aborted = await look.aborted(token)
        assert answer["status"] == "cancelled"
        times.record("cancel-running", aborted.at - asked_at, 1 + STEP_S)

    later = await caller.submit("drawn after them")
    assert (await look.ended(later))["status"] == "succeeded"
    assert cluster.events.of(queued) == []


@pytest.mark.slow
async def test_a_passed_deadline_fails_a_queued_job_and_frees_the_device_of_a_running_one(
    cluster: Cluster, look: Look
) -> None:
    hasty = cluster.add_api("hasty", JOBS__DEADLINE_S="1.5")
    with cluster.more(hasty):
        async with Caller(hasty.url, accepted=look.accepted) as pressed:
            running = [await pressed.submit(f"late {i} slow:200", quality="high") for i in range(2)]
            queued = await pressed.submit("later")
            deadline_at = {i: int(look.record(i)["deadline_at"]) for i in (*running, queued)}
            tokens = [(await look.started(job_id)).token for job_id in running]
            ends = {job_id: await look.ended(job_id) for job_id in (*running, queued)}
            aborts = [await look.aborted(token) for token in tokens]

    for job_id, end in ends.items():
        assert end["status"] == "failed"
        assert "deadline_exceeded" in end["error"]
        times.record("deadline", (int(end["finished_at"]) - deadline_at[job_id]) / 1000, 1)
    assert [e.event for e in cluster.events.of(queued)] == []
    assert {abort.event for abort in aborts} == {"abort"}
