"""Lost streams, wrong clocks, rings that vanish with whoever took them."""

import asyncio
import time
from signal import SIGSTOP

import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.look import Look
from tests.waiting import wait_until

HOUR_S = 3600.0
FAR_FUTURE = "99999999999999-0"


@pytest.mark.slow
async def test_a_lost_done_stream_delays_waiters_by_one_sweep(cluster: Cluster, look: Look) -> None:
    waiting = cluster.add_api("waiting")
    with cluster.more(waiting):
        async with Caller(waiting.url, accepted=look.accepted) as held:
            # Having read an entry of the far future, it hears nothing from the stream that takes its place.
            cluster.store.xadd(cluster.keys.done, {"id": "none", "status": "none"}, id=FAR_FUTURE)
            call = asyncio.create_task(held.draw("a picture slow:60"))
            job_id = (await look.drawn("a picture slow:60")).job
            cluster.store.delete(cluster.keys.done)

            await look.ended(job_id)
            ended_at = time.monotonic()
            response = await call

            times.record("done-stream-lost", time.monotonic() - ended_at, 3)
            assert response.status_code == 200

            # From the next sweep on it reads the new stream.
            await asyncio.sleep(3)
            soon = []
            for number in range(3):
                began_at = time.monotonic()
                assert (await held.draw(f"quick {number} slow:2")).status_code == 200
                soon.append(time.monotonic() - began_at)
            assert max(soon) < 1


@pytest.mark.slow
async def test_a_worker_whose_clock_is_an_hour_off_is_a_worker_like_any_other(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    early = cluster.add_worker("early", models=("wide",), clock_offset_s=HOUR_S)
    late = cluster.add_worker("late", models=("wide",), clock_offset_s=-HOUR_S)
    with cluster.more(early, late):
        jobs = [await caller.submit(f"picture {i} slow:50", model="wide") for i in range(12)]
        ends = [await look.ended(job_id) for job_id in jobs]

    assert {(end["status"], end["attempt"], end["losses"]) for end in ends} == {("succeeded", "1", "0")}
    assert {end["worker"] for end in ends} == {"early", "late"}
    times.held("wrong-clock")


async def test_a_ring_that_dies_with_the_worker_that_took_it_is_rung_again(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    doomed = cluster.add_worker("doomed", models=("wide",))
    cluster.wait_ready(doomed)
    wait_until(lambda: listening(cluster) == 3, 5, "all workers to listen for rings")

    # Its pending read takes the ring, and nobody answers.
    doomed.send(SIGSTOP)
    job_id = await caller.submit("a picture", model="wide")
    wait_until(lambda: listening(cluster) == 2, 5, "the ring to be taken")
    cluster.remove(doomed)
    other = cluster.add_worker("other", models=("wide",))
    with cluster.more(other):
        ready_at = time.monotonic()
        started = await look.started(job_id)
        end = await look.ended(job_id)

    assert (end["status"], end["attempt"]) == ("succeeded", "1")
    times.record("ring-taken-by-the-dead", max(0.0, started.at - ready_at), 1)


def listening(cluster: Cluster) -> int:
    """How many workers wait for a ring at this moment."""
    clients = cluster.store.client_list(_type="normal")
    return sum(client["cmd"] == "brpop" and "b" in client["flags"] for client in clients)
