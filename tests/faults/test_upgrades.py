"""Two versions at once, in either order: nothing fails, nothing waits for nothing, no caller sees an error.

The later version's params have a field more (``programs/later_version``).
"""

import asyncio
from itertools import cycle
from signal import SIGTERM

import httpx2
import pytest

from shared.params import PARAMS_VERSION
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.lasting import lasting
from tests.faults.harness.look import Look
from tests.waiting import wait_until_async

pytestmark = pytest.mark.slow

WAITING = {
    "code": "waiting_for_newer_worker",
    "message": "No worker that is alive is new enough to draw this; it waits until one comes.",
}
RINGS_WHILE_IDLE = 20


async def test_when_the_api_is_new_first_old_workers_draw_what_they_can_and_leave_the_rest(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    api = cluster.add_api("later-api", later=True)
    with cluster.more(api):
        async with Caller(api.url, accepted=look.accepted) as new:
            jobs = [await new.submit(f"picture {i} slow:5", grain=i % 2) for i in range(8)]
            plain, grained = jobs[::2], jobs[1::2]
            held = asyncio.create_task(new.draw("a held picture slow:5", grain=2))

            ends = [await look.ended(job_id) for job_id in plain]
            assert {(end["status"], end["attempt"]) for end in ends} == {("succeeded", "1")}

            # Both versions of the API say of these jobs what they wait for.
            for one in (new, caller):
                told = [await one.job(job_id) for job_id in grained]
                assert [(job["status"], job["warnings"], job["eta_seconds"]) for job in told] == [
                    ("queued", [WAITING], None)
                ] * 4
                assert (await one.job(plain[0]))["warnings"] == []
            assert await rings_while_idle(cluster) < RINGS_WHILE_IDLE
            assert cluster.broker.llen(f"{PREFIX}ring:light@{PARAMS_VERSION + 1}") == 0

            later = cluster.add_worker("later", later=True)
            with cluster.more(later):
                ends = [await look.ended(job_id) for job_id in grained]
                answer = await held

    assert {(end["status"], end["worker"], end["attempt"]) for end in ends} == {("succeeded", "later", "1")}
    starts = [event.job for event in cluster.events.all() if event.event == "start"]
    assert [job_id for job_id in starts if job_id in grained] == grained
    assert answer.status_code == httpx2.codes.OK


async def test_when_workers_are_new_first_they_draw_for_the_old_api_and_then_for_the_new_one(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    later = cluster.add_worker("later", models=("wide",), later=True)
    with cluster.more(later):
        old = [await caller.submit(f"old {i} slow:5", model="wide") for i in range(3)]
        assert {(await look.ended(job_id))["status"] for job_id in old} == {"succeeded"}

        api = cluster.add_api("later-api", later=True)
        with cluster.more(api):
            async with Caller(api.url, accepted=look.accepted) as new:
                answer = await new.draw("new slow:5", model="wide", grain=3)
                assert answer.status_code == httpx2.codes.OK
                job_id = answer.headers["x-job-id"]
                # What the new one wrote, the old one tells of and delivers.
                assert (await caller.job(job_id))["warnings"] == []
                assert (await caller.result(job_id)).json() == answer.json()


async def test_a_retry_finds_the_job_of_its_first_try_whichever_version_made_it(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    api = cluster.add_api("later-api", later=True)
    with cluster.more(api):
        async with Caller(api.url, accepted=look.accepted) as new:
            for number, (first, second) in enumerate(((caller, new), (new, caller))):
                prompt = f"picture {number} slow:60"
                call = asyncio.create_task(first.draw(prompt, seed=1))
                drawn = await look.drawn(prompt)
                again = await second.draw(prompt, headers={"x-stainless-retry-count": "1"}, seed=1)

                assert again.headers["x-job-id"] == drawn.job
                assert again.content == (await call).content


@pytest.mark.timeout(120)
async def test_params_that_nobody_said_are_new_go_from_old_workers_to_a_new_one(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    """A forged record, or a forgetful version: no old worker fails the job, and none takes it twice."""
    busy = [await caller.submit(f"busy {i} slow:40") for i in range(2)]
    for job_id in busy:
        await look.stepping(job_id)
    job_id = await caller.submit("a picture")
    words = look.record(job_id)["params"].replace("{", '{"grain":1,', 1)
    cluster.store.hset(cluster.keys.job(job_id), "params", words)

    async def left() -> bool:
        return look.outcomes(job_id) == ["not_readable"]

    await wait_until_async(left, 20, "the job to be left")
    assert await rings_while_idle(cluster) < RINGS_WHILE_IDLE
    assert look.outcomes(job_id) == ["not_readable"]
    assert (await caller.job(job_id))["warnings"] == [WAITING]

    later = cluster.add_worker("later", later=True)
    with cluster.more(later):
        end = await look.ended(job_id)

    assert (end["status"], end["worker"], end["attempt"]) == ("succeeded", "later", "1")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("first", ["api", "worker"])
async def test_a_whole_upgrade_shows_no_caller_an_error(cluster: Cluster, look: Look, first: str) -> None:
    """Old ones are stopped as compose and Kubernetes stop them, once the new ones are ready."""
    old_api, old_worker = cluster.add_api("old-api"), cluster.add_worker("old", models=("wide",))
    cluster.wait_ready(old_api, old_worker)
    urls = [old_api.url]
    done = asyncio.Event()
    calls = [asyncio.create_task(calling(number, urls, look.accepted, done)) for number in range(4)]

    for part in (first, "worker" if first == "api" else "api"):
        if part == "api":
            new_api = cluster.add_api("new-api", later=True)
            cluster.wait_ready(new_api)
            urls.insert(0, new_api.url)
            old_api.send(SIGTERM)
        else:
            cluster.wait_ready(cluster.add_worker("new", models=("wide",), later=True))
            old_worker.send(SIGTERM)
        await lasting(2)
    done.set()
    assert min([await call for call in calls]) >= 1


async def calling(number: int, urls: list[str], accepted: list[str], done: asyncio.Event) -> int:
    """Ask for one picture after another as an official client does; return how many came."""
    drawn = 0
    while not done.is_set():
        prompt = f"caller {number} picture {drawn} slow:20"
        # Tries as the official clients make them: the same address, which a proxy or a Service leads on.
        for retry, pause_s in zip(range(6), cycle([0.5, 1, 2]), strict=False):
            headers = {"x-stainless-retry-count": str(retry)} if retry else {}
            try:
                async with Caller(urls[0], f"owner {number}", accepted=accepted) as caller:
                    answer = await caller.draw(prompt, headers=headers, model="wide")
            except httpx2.TransportError:
                await lasting(pause_s)  # the old one went while it was being called
                continue
            if answer.status_code != httpx2.codes.SERVICE_UNAVAILABLE:
                break
            assert answer.json()["error"]["code"] == "service_stopping", answer.text
            await lasting(pause_s)
        assert answer.status_code == httpx2.codes.OK, answer.text
        drawn += 1
    return drawn


async def rings_while_idle(cluster: Cluster, seconds: float = 2.0) -> int:
    """Return how many rings workers took or waited for in vain, in so many seconds."""

    def listened() -> int:
        return int(cluster.store.info("commandstats").get("cmdstat_brpop", {}).get("calls", 0))

    before = listened()
    await lasting(seconds)
    return listened() - before
