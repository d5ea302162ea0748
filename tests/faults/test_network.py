"""Connections that are cut, and networks that deliver nothing."""

import asyncio
import time

import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.lasting import LONG, lasting
from tests.faults.harness.look import Look

# Longer than it takes to lose a lease; the table's own length in the long run.
BLACK_S = 15 if LONG else 7


async def test_cut_connections_are_noticed_by_no_caller(cluster: Cluster, look: Look) -> None:
    api = cluster.add_api("cut-api", proxied=True)
    worker = cluster.add_worker("cut-worker", models=("wide",), proxied=True)
    with cluster.more(api, worker):
        async with Caller(api.url, accepted=look.accepted) as cut:
            call = asyncio.create_task(cut.draw("held slow:60", model="wide"))
            held = (await look.drawn("held slow:60")).job

            api.wire.reset()
            worker.wire.reset()
            cut_at = time.monotonic()
            next_call = asyncio.create_task(cut.draw("submitted at once slow:1", model="wide"))
            response = await call
            end = await look.ended(held)
            following = await look.drawn("submitted at once slow:1")
            answer = await next_call

    assert (response.status_code, answer.status_code) == (200, 200)
    assert look.outcomes(held) == ["succeeded"]
    finished_at = cluster.events.of(held, "end")[0].at
    assert (end["status"], finished_at > cut_at) == ("succeeded", True)
    times.record("connections-cut", following.at - finished_at, 1)


@pytest.mark.timeout(120)
@pytest.mark.slow
async def test_a_worker_in_a_black_hole_loses_its_job_and_comes_back(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    hidden = cluster.add_worker("hidden", models=("wide",), proxied=True)
    with cluster.more(hidden):
        job_id = await caller.submit("a picture slow:1000", model="wide", quality="low")
        first = await look.started(job_id)
        other = cluster.add_worker("other", models=("wide",))
        with cluster.more(other):
            await look.stepping(job_id)

            hidden.wire.black_hole()
            hidden_at = time.monotonic()
            again = await look.started(job_id, 2)
            await lasting(max(0.0, hidden_at + BLACK_S - time.monotonic()))
            hidden.wire.heal()
            healed_at = time.monotonic()
            end = await look.ended(job_id)
        usable = await caller.submit("drawn by the one that was hidden", model="wide")
        started = await look.started(usable)
        await look.ended(usable)

    assert (end["status"], end["attempt"], end["worker"]) == ("succeeded", "2", "other")
    assert end["token"] == again.token != first.token
    assert started.worker == "hidden"
    times.record("black-hole-moves", again.at - hidden_at, 6)
    times.record("black-hole-usable", started.at - healed_at, 12)


@pytest.mark.timeout(90)
@pytest.mark.slow
async def test_an_api_process_in_a_black_hole_refuses_at_once_and_forgets_no_caller(
    cluster: Cluster, look: Look
) -> None:
    hidden = cluster.add_api("hidden-api", proxied=True)
    with cluster.more(hidden):
        async with Caller(hidden.url, accepted=look.accepted) as cut_off:
            call = asyncio.create_task(cut_off.draw("held slow:200"))
            held = (await look.drawn("held slow:200")).job

            hidden.wire.black_hole()
            for _ in range(2):
                asked_at = time.monotonic()
                refusal = await cut_off.draw("refused")
                times.record("api-black-hole-refuses", time.monotonic() - asked_at, 3)
                assert refusal.status_code == 503
            await look.ended(held)
            hidden.wire.heal()
            healed_at = time.monotonic()
            response = await call

    assert response.status_code == 200
    times.record("api-black-hole-waiters", time.monotonic() - healed_at, 5)


@pytest.mark.timeout(90)
async def test_stranded_connections_are_replaced(cluster: Cluster, caller: Caller, look: Look) -> None:
    stranded = cluster.add_worker("stranded", models=("wide",), proxied=True)
    with cluster.more(stranded):
        job_id = await caller.submit("a picture slow:100", model="wide")
        await look.stepping(job_id)

        stranded.wire.strand()
        stranded_at = time.monotonic()
        usable = await caller.submit("the next one", model="wide")
        started = await look.started(usable)
        ends = [await look.ended(each) for each in (job_id, usable)]

    assert {end["status"] for end in ends} == {"succeeded"}
    times.record("connections-stranded", started.at - stranded_at, 12)
