"""Pictures on their way to the store of results, when a worker, Redis or that store is lost meanwhile."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import httpx2

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.look import Look
from tests.waiting import wait_until_async

PROMPT = "a picture slow:20 stored:url"


@contextmanager
def unwritable(cluster: Cluster) -> Iterator[None]:
    """Let a file be where the folder of pictures is to be, so that nothing can be written there."""
    place = cluster.results / "pictures"
    place.parent.mkdir(exist_ok=True)
    place.write_text("in the way")
    try:
        yield
    finally:
        place.unlink()


def files(cluster: Cluster) -> set[str]:
    """The pictures in the folder."""
    return {path.name for path in (cluster.results / "pictures").glob("*")}


def noted(cluster: Cluster) -> set[str]:
    """The names that are noted before a picture is written."""
    return {Path(name.decode()).name for name in cluster.store.zrange(f"{PREFIX}objects", 0, -1)}


async def uploading(cluster: Cluster, look: Look, job_id: str) -> set[str]:
    """Wait until a job's picture is drawn and its name noted; return the names."""
    await look.started(job_id)

    async def check() -> bool:
        return any(name.startswith(job_id) for name in noted(cluster))

    await wait_until_async(check, 20, "an upload")
    return noted(cluster)


async def written(cluster: Cluster, names: set[str]) -> None:
    """Wait until these pictures are in the folder."""

    async def check() -> bool:
        return names <= files(cluster)

    await wait_until_async(check, 20, "a picture in the folder")


async def read(response: httpx2.Response) -> bytes:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return (await http.get(response.json()["data"][0]["url"])).content


async def test_of_a_worker_that_dies_between_upload_and_result_nothing_stays(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    first, second = cluster.nodes["w1"], cluster.nodes["w2"]
    second.send(SIGSTOP)
    with unwritable(cluster):
        call = asyncio.create_task(caller.draw(PROMPT))
        job_id = (await look.drawn(PROMPT)).job
        orphans = await uploading(cluster, look, job_id)
        first.wire.black_hole()  # nothing that it says from now on reaches Redis
    await written(cluster, orphans)
    first.kill()
    killed_at = time.monotonic()
    second.send(SIGCONT)
    again = await look.started(job_id, 2)

    response = await call

    assert response.status_code == 200
    assert (await read(response)).startswith(b"\x89PNG")
    assert look.outcomes(job_id) == ["worker_lost", "succeeded"]
    times.record("worker-killed-after-upload", again.at - killed_at, 8)
    results = files(cluster) - orphans
    assert len(results) == 1
    # The orphans' time has come: a worker deletes them, and them alone.
    cluster.store.zadd(f"{PREFIX}objects", {f"pictures/{name}": 1 for name in orphans})
    cluster.mend()

    async def orphans_gone() -> bool:
        return files(cluster) == results

    await wait_until_async(orphans_gone, 20, "the orphans' deletion")


async def test_while_redis_is_away_after_the_upload_the_picture_waits_and_is_the_result(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    first, second = cluster.nodes["w1"], cluster.nodes["w2"]
    second.send(SIGSTOP)
    with unwritable(cluster):
        call = asyncio.create_task(caller.draw(PROMPT))
        job_id = (await look.drawn(PROMPT)).job
        names = await uploading(cluster, look, job_id)
        first.wire.black_hole()
    await written(cluster, names)
    first.wire.heal()

    response = await call

    assert response.status_code == 200
    assert files(cluster) == names
    assert look.outcomes(job_id) == ["succeeded"]


async def test_a_store_of_results_that_is_away_for_a_moment_is_waited_for(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    with unwritable(cluster):
        call = asyncio.create_task(caller.draw(PROMPT))
        job_id = (await look.drawn(PROMPT)).job
        await uploading(cluster, look, job_id)
        await asyncio.sleep(6)  # longer than a lease

    assert (await call).status_code == 200
    assert look.outcomes(job_id) == ["succeeded"]


async def test_a_caller_who_hangs_up_during_an_upload_ends_it(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    with unwritable(cluster):
        call = asyncio.create_task(caller.draw(PROMPT, headers={"x-on-disconnect": "cancel"}))
        job_id = (await look.drawn(PROMPT)).job
        caller.accepted.append(job_id)
        await uploading(cluster, look, job_id)
        call.cancel()
        assert (await look.ended(job_id))["status"] == "cancelled"
        free = await caller.submit("a picture slow:1")
        another = await caller.submit("another picture slow:1")
        for each in (free, another):
            assert (await look.ended(each))["status"] == "succeeded"
    assert files(cluster) <= noted(cluster)  # written a moment too late: then it is deleted later
