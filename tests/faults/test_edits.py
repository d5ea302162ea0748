"""Edits: what becomes of the pictures that are sent, whatever breaks while they are on their way or drawn from."""

import asyncio
import time
from signal import SIGCONT, SIGSTOP

import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.look import Look

EDIT = "an edit picture:7:masked slow:100"


def inputs(cluster: Cluster) -> set[str]:
    """Return the keys of pictures, and of what is counted of them."""
    return {name.decode().removeprefix(PREFIX) for name in cluster.store.scan_iter(f"{PREFIX}input*")}


async def test_a_worker_killed_mid_edit_leaves_the_pictures_to_the_next(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    call = asyncio.create_task(caller.draw(EDIT))
    job_id = (await look.drawn(EDIT)).job
    worker = cluster.nodes[await look.stepping(job_id)]

    worker.kill()
    killed_at = time.monotonic()
    again = await look.started(job_id, 2)
    there = inputs(cluster)
    response = await call

    assert response.status_code == 200
    assert look.outcomes(job_id) == ["worker_lost", "succeeded"]
    assert again.worker != worker.name
    assert f"input:{job_id}" in there
    assert inputs(cluster) == set()
    times.record("edit-worker-killed", again.at - killed_at, 6)
