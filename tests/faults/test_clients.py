"""Clients that vanish, and API processes that vanish under them."""

import asyncio
import json
import random
import time
from collections import Counter
from signal import SIGSTOP

import httpx2
import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.lasting import LONG
from tests.faults.harness.look import Look
from tests.waiting import wait_until_async

HELD = 200
DISCONNECTS = 500 if LONG else 60
GRACE_S = 1.0
STEP_S = 0.2


@pytest.mark.timeout(150)
@pytest.mark.slow
async def test_callers_of_a_killed_api_process_get_their_pictures_elsewhere(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    doomed = cluster.add_api("doomed")
    cluster.wait_ready(doomed)
    received: set[int] = set()
    refused: set[int] = set()

    async def draw(number: int, first: Caller) -> httpx2.Response:
        fields = {"prompt": f"held {number} slow:10", "seed": number, "quality": "low", "timeout_s": 100.0}
        try:
            response = await first.draw(**fields)
            (received if response.status_code == httpx2.codes.OK else refused).add(number)
        except httpx2.TransportError:
            response = None
        while response is None or response.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            response = await caller.draw(**fields, headers={"x-stainless-retry-count": "1"})
        return response

    made_before = made(cluster)
    async with Caller(doomed.url, accepted=look.accepted) as first:
        calls = [asyncio.create_task(draw(number, first)) for number in range(HELD)]

        async def all_held() -> bool:
            return made(cluster) >= made_before + HELD

        await wait_until_async(all_held, 60, "every call to be held")
        doomed.send(SIGSTOP)
        given = given_away(cluster)
        cluster.remove(doomed)
        responses = await asyncio.gather(*calls)

    jobs = [response.headers["x-job-id"] for response in responses]
    starts = Counter(event.job for event in cluster.events.all() if event.event == "start")
    assert {response.status_code for response in responses} == {200}
    assert len(set(jobs)) == HELD
    # Decision 24: what was cut off at its last byte is drawn again, and nothing else. A process that was too
    # slow to hear of a job has refused the call before it was killed, and that job may follow its retry's.
    again = made(cluster) - made_before - HELD - len(given - received)
    assert 0 <= again <= len(refused), (given - received, refused)
    assert {starts[job_id] for job_id in jobs} == {1}
    for response in responses[::10]:
        assert (await caller.result(response.headers["x-job-id"])).content == response.content
    times.held("api-killed")


def made(cluster: Cluster) -> int:
    """How many jobs were ever made."""
    return int(cluster.store.get(cluster.keys.key("order")) or 0)


def given_away(cluster: Cluster) -> set[int]:
    """Return the numbers of the held calls of whose picture it was said that it has reached its caller."""
    store = cluster.store
    store.ping()  # what was sent before is done
    lists = store.scan_iter(cluster.keys.key("unanswered", "*"), count=1000)
    unanswered = {job_id.decode() for name in lists for job_id in store.zrange(name, 0, -1)}
    drawn = {entry[b"id"].decode() for _, entry in store.xrange(cluster.keys.done)}
    texts = [store.hget(cluster.keys.job(job_id), "params") for job_id in drawn - unanswered]
    params = [json.loads(text or "{}") for text in texts]
    return {each["seed"] for each in params if each.get("prompt", "").startswith("held ")}


@pytest.mark.timeout(240)
@pytest.mark.slow
async def test_clients_that_hang_up_at_any_moment_leave_nothing_behind(cluster: Cluster, look: Look) -> None:
    rng = random.Random(3)
    short = cluster.add_api("short", JOBS__ABANDON_GRACE_S=str(GRACE_S))
    with cluster.more(short):
        async with Caller(short.url, "hanging up", accepted=look.accepted) as leaving:

            async def hang_up(number: int) -> None:
                try:
                    async with asyncio.timeout(rng.uniform(0, 0.6)):
                        await leaving.draw(f"left {number} slow:200", quality="high")
                except TimeoutError:
                    return

            for start in range(0, DISCONNECTS, 20):
                await asyncio.gather(*(hang_up(number) for number in range(start, start + 20)))
            left_at = time.monotonic()

            async def freed() -> bool:
                return not look.drawing() and not cluster.store.exists(cluster.keys.key("deadlines"))

            await wait_until_async(freed, 20, "every device to be free")
            times.record("clients-hung-up", time.monotonic() - left_at, GRACE_S + 1 + STEP_S)
            await look.settled()
