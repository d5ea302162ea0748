"""Prompts that break what draws them, and devices that break by themselves."""

import asyncio
import time

import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.lasting import LONG
from tests.faults.harness.look import Look
from tests.waiting import wait_until_async

pytestmark = pytest.mark.slow

BOOT_S = 6.0
# What the service grants by default, in the long run.
LOSSES = 3 if LONG else 2


@pytest.mark.timeout(120)
async def test_a_poison_among_eight_is_given_up_and_its_mates_succeed(cluster: Cluster, look: Look) -> None:
    first = cluster.add_worker("wide-1", models=("wide",), capacity=8)
    patience = cluster.add_api("patience", JOBS__MAX_ATTEMPTS=str(LOSSES))
    cluster.wait_ready(first, patience)
    began_at = time.monotonic()
    async with Caller(patience.url, accepted=look.accepted) as poisoner:
        mates = [await poisoner.submit(f"mate {i} slow:200", model="wide") for i in range(7)]
        poison = await poisoner.submit("poison:kill slow:200", model="wide")
    await look.busy(8)
    second = cluster.add_worker("wide-2", models=("wide",), capacity=8)
    nurse = asyncio.create_task(restart_the_dead(cluster))
    with cluster.more(first, second):
        end = await look.ended(poison, 90)
        given_up_at = time.monotonic()
        ends = [await look.ended(job_id, 90) for job_id in mates]
        nurse.cancel()

    assert (end["status"], end["losses"]) == ("failed", str(LOSSES))
    assert "worker_lost" in end["error"]
    assert [e["status"] for e in ends] == ["succeeded"] * 7
    # Whoever was drawn beside the poison lost that one worker; afterwards each of them is drawn alone.
    assert {e["losses"] for e in ends} == {"1"}
    times.record("poison-given-up", given_up_at - began_at, LOSSES * (6 + BOOT_S))


async def restart_the_dead(cluster: Cluster) -> None:
    """Do what a supervisor does."""
    while True:
        for node in list(cluster.nodes.values()):
            if not node.running:
                node.start()
        await asyncio.sleep(0.1)


async def test_a_prompt_that_raises_fails_alone_at_its_first_attempt(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    wide = cluster.add_worker("wide", models=("wide",), capacity=8)
    with cluster.more(wide):
        mates = [await caller.submit(f"mate {i} slow:50", model="wide") for i in range(3)]
        raising = await caller.submit("poison:raise slow:50", model="wide")
        greedy = await caller.submit("poison:oom-always slow:50", model="wide")
        ends = [await look.ended(job_id) for job_id in mates]
        failed = [await look.ended(job_id) for job_id in (raising, greedy)]

    assert [(e["status"], e["attempt"]) for e in ends] == [("succeeded", "1")] * 3
    assert [(e["status"], e["attempt"]) for e in failed] == [("failed", "1")] * 2
    assert all("generation_failed" in e["error"] for e in failed)
    times.held("prompt-raises")


async def test_a_hung_device_ends_its_process_and_its_job_moves(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    stall_s = 2.0
    hanging = [
        cluster.add_worker(f"hanging-{i}", models=("wide",), WORKER__STALL_S=str(stall_s)) for i in range(2)
    ]
    with cluster.more(*hanging):
        hung = await caller.submit("poison:hang", model="wide")
        first = await look.started(hung)
        again = await look.started(hung, 2)
        worker = cluster.nodes[first.worker]

        async def ended() -> bool:
            return not worker.running

        await wait_until_async(ended, 5, "the watchdog")
        await caller.cancel(hung)

    assert worker.child.process.returncode == 70
    assert again.worker != first.worker
    times.record("device-hangs", again.at - first.at, stall_s + 6)
