"""Workers that are told to stop."""

import asyncio
import time
from signal import SIGTERM

import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster, Node
from tests.faults.harness.look import Look
from tests.waiting import wait_until_async


async def gone(node: Node, timeout_s: float = 30) -> None:
    """Wait until a process has ended, in good order."""

    async def ended() -> bool:
        return not node.running

    await wait_until_async(ended, timeout_s, f"the end of {node.name}")
    assert node.child.process.returncode == 0, node.child.end_in_words()


@pytest.mark.slow
async def test_restarting_every_worker_under_load_is_noticed_by_no_client(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    stopping = asyncio.Event()

    async def draw_on(name: str) -> list[int]:
        answers = []
        while not stopping.is_set():
            answers.append((await caller.draw(f"{name}, {len(answers)}, slow:15")).status_code)
        return answers

    load = [asyncio.create_task(draw_on(f"client {i}")) for i in range(4)]
    await look.drawn("client 0, 1, slow:15")
    for name in ("w1", "w2"):
        told_at = time.monotonic()
        cluster.nodes[name].send(SIGTERM)
        await gone(cluster.nodes[name])
        times.record("worker-drains", time.monotonic() - told_at, 30)
        cluster.nodes[name].start()
        await asyncio.to_thread(cluster.wait_ready, cluster.nodes[name])
    stopping.set()
    answers = await asyncio.gather(*load)

    assert {status for statuses in answers for status in statuses} == {200}
    assert {outcome for job_id in caller.accepted for outcome in look.outcomes(job_id)} == {"succeeded"}


async def test_a_second_sigterm_hands_the_jobs_back_without_spending_an_attempt(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    job_id = await caller.submit("a picture slow:100")
    worker = cluster.nodes[await look.stepping(job_id)]

    noticed = notices(worker)
    worker.send(SIGTERM)
    await wait_until_async(lambda: more_notices(worker, noticed), 10, "the worker to take notice")
    worker.send(SIGTERM)
    told_at = time.monotonic()
    first = await look.started(job_id)
    aborted = await look.aborted(first.token)
    again = await look.started(job_id, 2)
    await gone(worker)
    end = await look.ended(job_id)

    assert (end["status"], end["attempt"]) == ("succeeded", "1")
    assert look.outcomes(job_id) == ["handed_back", "succeeded"]
    assert again.worker != worker.name
    times.record("hands-back", aborted.at - told_at, 1)
    times.record("handed-back-starts", again.at - aborted.at, 1)


@pytest.mark.slow
async def test_what_runs_longer_than_the_drain_is_handed_back(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    short = cluster.add_worker("short", models=("wide",), WORKER__DRAIN_S="1")
    with cluster.more(short):
        job_id = await caller.submit("a picture slow:300", model="wide", quality="high")
        await look.stepping(job_id)
        other = cluster.add_worker("other", models=("wide",))
        with cluster.more(other):
            short.send(SIGTERM)
            aborted = await look.aborted((await look.started(job_id)).token)
            again = await look.started(job_id, 2)
            await gone(short)
            await caller.cancel(job_id)

    assert look.record(job_id)["attempt"] == "1"
    assert look.outcomes(job_id) == ["handed_back", "cancelled"]
    times.record("handed-back-starts", again.at - aborted.at, 1)


def notices(worker: Node) -> int:
    """How often a worker has said that it was told to stop."""
    return worker.child.program.log.read_text().count("Warm shutdown")


async def more_notices(worker: Node, before: int) -> bool:
    return notices(worker) > before
