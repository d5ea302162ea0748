"""Workers that end without a word."""

import asyncio
import time
from signal import SIGCONT, SIGSTOP

import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.look import Look


async def test_a_worker_killed_mid_step_costs_one_attempt_and_no_caller_notices(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    call = asyncio.create_task(caller.draw("a picture slow:100"))
    job_id = (await look.drawn("a picture slow:100")).job
    worker = cluster.nodes[await look.stepping(job_id)]

    worker.kill()
    killed_at = time.monotonic()
    again = await look.started(job_id, 2)
    response = await call

    assert response.status_code == 200
    assert response.headers["x-job-id"] == job_id
    assert look.outcomes(job_id) == ["worker_lost", "succeeded"]
    assert again.worker != worker.name
    times.record("worker-killed", again.at - killed_at, 6)


@pytest.mark.slow
async def test_jobs_outlive_every_worker(cluster: Cluster, caller: Caller, look: Look) -> None:
    jobs = [await caller.submit(f"picture {i} slow:50") for i in range(6)]
    await look.stepping(jobs[0])
    workers = [cluster.nodes["w1"], cluster.nodes["w2"]]

    for worker in workers:
        worker.kill()
    counts = {job_id: len(cluster.events.of(job_id, "start")) for job_id in jobs}
    for worker in workers:
        worker.start()
    cluster.wait_ready(workers[0])
    ready_at = time.monotonic()
    running = [job_id for job_id in jobs if look.record(job_id)["status"] == "running"]
    again = [await look.started(job_id, counts[job_id] + 1) for job_id in running]
    ends = [await look.ended(job_id) for job_id in jobs]

    assert [end["status"] for end in ends] == ["succeeded"] * 6
    assert again
    times.record("all-workers-killed", max(start.at for start in again) - ready_at, 6)


@pytest.mark.slow
async def test_a_frozen_worker_wakes_up_as_a_zombie_and_changes_nothing(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    job_id = await caller.submit("a picture slow:100", quality="high")
    zombie = cluster.nodes[await look.stepping(job_id)]
    first = await look.started(job_id)

    zombie.send(SIGSTOP)
    stopped_at = time.monotonic()
    again = await look.started(job_id, 2)
    zombie.send(SIGCONT)
    woken_at = time.monotonic()
    end = await look.ended(job_id)
    aborted = await look.aborted(first.token)

    assert end["status"] == "succeeded"
    assert end["worker"] == again.worker != zombie.name
    assert aborted.worker == zombie.name
    times.record("worker-frozen", again.at - stopped_at, 6)
    times.record("zombie-stops", aborted.at - woken_at, 1)
