"""Too much of everything: jobs, callers, memory."""

import asyncio
import time

import httpx2
import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.lasting import LONG, lasting
from tests.faults.harness.look import Look

FLOOD = 10_000 if LONG else 150
ASYNC = {"prefer": "respond-async"}


def stored(cluster: Cluster) -> int:
    """How many records there are."""
    return sum(1 for _ in cluster.store.scan_iter(f"{PREFIX}job:*", count=10_000))


@pytest.mark.slow
async def test_full_queues_refuse_at_once_and_store_nothing(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    small = cluster.add_api("small", JOBS__MAX_QUEUED="6", JOBS__MAX_UNFINISHED_PER_OWNER="4")
    with cluster.more(small):
        busy = [await caller.submit(f"busy {i} slow:300", quality="high") for i in range(2)]
        for job_id in busy:
            await look.stepping(job_id)
        async with (
            Caller(small.url, "greedy", accepted=look.accepted) as greedy,
            Caller(small.url, "another", accepted=look.accepted) as another,
        ):
            jobs = [await greedy.submit(f"greedy {i} slow:1") for i in range(4)]
            await refused(greedy, 429, "too_many_jobs")
            jobs += [await another.submit(f"another {i} slow:1") for i in range(2)]
            before = stored(cluster)
            await refused(another, 503, "queue_full")
            answers = await asyncio.gather(*(greedy.draw("more", headers=ASYNC) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {503}
    assert stored(cluster) == before
    for job_id in busy:
        await caller.cancel(job_id)
    assert {(await look.ended(job_id))["status"] for job_id in jobs} == {"succeeded"}


async def refused(caller: Caller, status: int, code: str) -> None:
    """Submit and be refused, at once and with a time to come back."""
    asked_at = time.monotonic()
    response = await caller.draw("one too many", headers=ASYNC)
    times.record("queue-full", time.monotonic() - asked_at, 0.05)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert 1 <= int(response.headers["retry-after"]) <= 60


@pytest.mark.timeout(600)
@pytest.mark.slow
async def test_one_owners_flood_delays_another_owner_by_one_job(cluster: Cluster, look: Look) -> None:
    wide_open = {
        "JOBS__MAX_QUEUED": "20000",
        "JOBS__MAX_UNFINISHED_PER_OWNER": "20000",
        "JOBS__MAX_WAIT_S": "100000",
        "JOBS__MAX_OWED_S_PER_OWNER": "100000",
        "JOBS__DEADLINE_S": "100000",
    }
    roomy = cluster.add_api("roomy", **wide_open)
    with cluster.more(roomy):
        async with (
            Caller(roomy.url, "flooding", accepted=look.accepted) as flooding,
            Caller(roomy.url, "modest", accepted=look.accepted) as modest,
        ):
            flood = await submit_many(flooding, FLOOD)
            job_id = await modest.submit("modest slow:20")
            submitted_at = time.monotonic()
            started = await look.started(job_id)
            between = [
                event
                for event in cluster.events.all()
                if event.event == "start" and submitted_at < event.at < started.at
            ]
            times.record("flood-jobs-before-another", len(between), 1)
            await asyncio.gather(*(cancel(flooding, chunk) for chunk in chunks(flood, 8)))


async def submit_many(caller: Caller, count: int) -> list[str]:
    async def some(numbers: range) -> list[str]:
        return [await caller.submit(f"flood {number} slow:50") for number in numbers]

    parts = await asyncio.gather(*(some(range(start, count, 16)) for start in range(16)))
    return [job_id for part in parts for job_id in part]


async def cancel(caller: Caller, job_ids: list[str]) -> None:
    for job_id in job_ids:
        await caller.try_cancel(job_id)


def chunks(items: list[str], count: int) -> list[list[str]]:
    return [items[start::count] for start in range(count)]


@pytest.mark.timeout(90)
@pytest.mark.slow
async def test_a_full_valkey_refuses_work_and_loses_no_lease(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    running = [asyncio.create_task(caller.draw(f"running {i} slow:200")) for i in range(2)]
    jobs = [(await look.drawn(f"running {i} slow:200")).job for i in range(2)]
    pids = {name: node.pid for name, node in cluster.nodes.items()}
    queued = [await caller.submit(f"queued {i} slow:5") for i in range(2)]
    limit = cluster.store.config_get("maxmemory")["maxmemory"]

    cluster.store.config_set("maxmemory", 1)
    refusal = await caller.draw("no room", headers=ASYNC)
    await lasting(5.5)
    leased = {member.decode() for member in cluster.store.zrange(cluster.keys.key("leases"), 0, -1)}
    cluster.store.config_set("maxmemory", limit)
    freed_at = time.monotonic()
    answers: list[httpx2.Response] = await asyncio.gather(*running)
    times.record("valkey-full-recovers", time.monotonic() - freed_at, 3)
    ends = [await look.ended(job_id) for job_id in (*jobs, *queued)]

    assert refusal.status_code == 503
    assert leased == set(jobs)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {(end["status"], end["attempt"], end["losses"]) for end in ends} == {("succeeded", "1", "0")}
    assert {name: node.pid for name, node in cluster.nodes.items() if node.running} == pids
