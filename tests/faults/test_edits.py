"""Edits: what becomes of the pictures that are sent, whatever breaks while they come or are drawn from."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import httpx2
import pytest

from tests.faults import times
from tests.faults.harness.caller import EDITS, Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.look import Look
from tests.faults.harness.sent import sent
from tests.waiting import wait_until_async

EDIT = "an edit picture:7:masked slow:100"
ORPHAN_MS = 60_000


def inputs(cluster: Cluster) -> set[str]:
    """Return the keys of pictures, and of what is counted of them."""
    return {name.decode().removeprefix(PREFIX) for name in cluster.store.scan_iter(f"{PREFIX}input*")}


def jobs(cluster: Cluster) -> int:
    """How many records there are."""
    return sum(1 for _ in cluster.store.scan_iter(f"{PREFIX}job:*"))


class Upload:
    """A form of which half is sent, and the rest when it is told to go on."""

    def __init__(self, url: str, prompt: str = EDIT) -> None:
        pictures = sent(prompt)
        assert pictures is not None
        fields = {"prompt": prompt, "quality": "low"}
        request = httpx2.Request("POST", url, **pictures.request(fields))
        self._body = request.read()
        self._url, self._type = url, request.headers["content-type"]
        self._go_on = asyncio.Event()
        self.answer = asyncio.create_task(self._send())

    async def halfway(self, cluster: Cluster, before: set[Path]) -> None:
        """Wait until half of it has come, beside the files that were there before."""

        async def has_come() -> bool:
            return sum(path.stat().st_size for path in {*cluster.uploads()} - before) > len(self._body) // 3

        await wait_until_async(has_come, 10, "half an upload")

    def go_on(self) -> None:
        """Send the rest."""
        self._go_on.set()

    async def _send(self) -> httpx2.Response:
        headers = {"content-type": self._type, "authorization": "Bearer tester", "prefer": "respond-async"}
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as http:
            return await http.post(self._url, content=self._pieces(), headers=headers)

    async def _pieces(self) -> AsyncIterator[bytes]:
        half = len(self._body) // 2
        yield self._body[:half]
        await self._go_on.wait()
        yield self._body[half:]


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


@pytest.mark.slow
async def test_a_frozen_worker_s_edit_is_drawn_from_the_same_pictures_elsewhere(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    job_id = await caller.submit(EDIT, quality="high")
    zombie = cluster.nodes[await look.stepping(job_id)]
    first = await look.started(job_id)

    zombie.send(SIGSTOP)
    again = await look.started(job_id, 2)
    there = inputs(cluster)
    zombie.send(SIGCONT)
    end = await look.ended(job_id)
    await look.aborted(first.token)

    assert (end["status"], end["worker"]) == ("succeeded", again.worker)
    assert f"input:{job_id}" in there
    assert inputs(cluster) == set()


async def test_a_cancelled_edit_takes_its_pictures_with_it_at_once(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    running = [await caller.submit(f"{i} {EDIT}", quality="high") for i in range(2)]
    tokens = [(await look.started(job_id)).token for job_id in running]
    queued = await caller.submit(EDIT)
    there = inputs(cluster)

    for job_id in (queued, *running):
        assert (await caller.cancel(job_id))["status"] == "cancelled"

    assert there >= {f"input:{job_id}" for job_id in (queued, *running)}
    assert inputs(cluster) == set()
    for token in tokens:
        await look.aborted(token)


async def test_an_api_process_killed_during_an_upload_leaves_nothing_anywhere(
    cluster: Cluster, look: Look
) -> None:
    doomed = cluster.add_api("doomed")
    with cluster.more(doomed):
        before, there = jobs(cluster), set(cluster.uploads())
        upload = Upload(doomed.url + EDITS)
        await upload.halfway(cluster, there)

        doomed.kill()
        upload.go_on()
        with pytest.raises(httpx2.TransportError):
            await upload.answer
        left = cluster.uploads()
        doomed.start()
        cluster.wait_ready(doomed)

        assert left  # what no process could take away that was killed
        assert cluster.uploads() == []
        assert inputs(cluster) == set()
        assert jobs(cluster) == before
    await look.settled()
    times.held("edit-api-killed")


async def test_pictures_whose_job_was_never_made_go_by_themselves_and_are_not_counted(
    cluster: Cluster, look: Look
) -> None:
    doomed = cluster.add_api("doomed", proxied=True)
    with cluster.more(doomed):
        before = jobs(cluster)
        # What the job's record is made of; the pictures go before it.
        doomed.wire.black_hole_at(b"max_attempts")
        upload = Upload(doomed.url + EDITS)
        upload.go_on()

        async def stopped() -> bool:
            return not doomed.wire.flowing

        await wait_until_async(stopped, 10, "the submission")
        doomed.kill()
        doomed.wire.reset()  # nothing that was on its way arrives
        with pytest.raises(httpx2.TransportError):
            await upload.answer

        (orphan,) = inputs(cluster)
        assert 0 < cluster.store.pttl(f"{PREFIX}{orphan}") <= ORPHAN_MS
        assert set(cluster.store.hkeys(f"{PREFIX}{orphan}")) == {b"0", b"mask"}
        assert jobs(cluster) == before
    await look.settled()
    times.held("edit-api-killed")


async def test_valkey_killed_during_an_upload_refuses_it_in_time_and_takes_it_again_afterwards(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    before = set(cluster.uploads())
    upload = Upload(caller.url + EDITS)
    await upload.halfway(cluster, before)

    cluster.server.kill()
    upload.go_on()
    sent_at = time.monotonic()
    refused = await upload.answer
    times.record("edit-valkey-away-refuses", time.monotonic() - sent_at, 3)
    cluster.server.start()

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert set(cluster.uploads()) == before

    async def accepted() -> str:
        response = await caller.draw(EDIT, headers={"prefer": "respond-async"}, timeout_s=10)
        return str(response.json()["id"]) if response.status_code == httpx2.codes.ACCEPTED else ""

    job_id = await wait_until_async(accepted, 20, "the edit to be accepted")
    assert (await look.ended(job_id))["status"] == "succeeded"
    assert inputs(cluster) == set()


async def test_an_edit_whose_pictures_are_lost_fails_in_words_and_is_not_tried_again(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    busy = [await caller.submit(f"busy {i} slow:300", quality="high") for i in range(2)]
    for job_id in busy:
        await look.stepping(job_id)
    job_id = await caller.submit(f"{EDIT} poison:lost")

    assert cluster.store.delete(f"{PREFIX}input:{job_id}") == 1
    for each in busy:
        await caller.cancel(each)
    end = await look.ended(job_id)

    error = json.loads(end["error"])
    assert (end["status"], error["code"]) == ("failed", "generation_failed")
    assert "no longer there" in error["message"]
    assert look.outcomes(job_id) == ["failed"]
    assert cluster.events.of(job_id) == []
    assert inputs(cluster) == set()
    answer = await caller.result(job_id)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (500, "false")
    times.held("edit-pictures-lost")
