"""The rows that an engine has a part in, once with the real one and a tiny model that takes many steps."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from signal import SIGTERM

import httpx2
import pytest

from shared.params import Params, Quality
from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, REAL, Cluster
from tests.faults.harness.lasting import long_run
from tests.faults.harness.look import Look
from tests.jobs import Caller as StoreCaller
from tests.tiny_models import write_catalogue
from tests.waiting import wait_until_async

pytestmark = [pytest.mark.timeout(150), long_run]

# A step of the tiny model takes some milliseconds at 64x64, and a large part of a second at 512x512.
LARGE = {"size": "512x512"}
LONG = {"size": "128x128", "quality": "high", "n": 4}
STALL_S = 0.2
SOON_MS = 1000


@pytest.fixture(scope="module")
def real_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("real")
    entry = {"steps": {"low": 100, "medium": 150, "high": 200}}
    sizes = {"native_width": 64, "native_height": 64, "multiple": 16, "min_area_px": 4096}
    entry["sizes"] = {**sizes, "max_area_px": 512 * 512, "max_side_px": 1024, "max_aspect": 4}
    catalogue = write_catalogue(folder / "models", tiny=entry)
    with Cluster(folder, catalogue=catalogue) as cluster:
        cluster.add_api("api-1")
        for name in ("w1", "w2"):
            cluster.add_worker(name, models=("tiny",), program=REAL, WORKER__TORCH_THREADS="1")
        cluster.wait_ready()
        yield cluster


@pytest.fixture
async def real_caller(real_cluster: Cluster) -> AsyncIterator[Caller]:
    real_cluster.mend()
    async with Caller(real_cluster.nodes["api-1"].url) as caller:
        yield caller


async def attempt(look: Look, job_id: str, number: int, timeout_s: float = 30) -> str:
    """Wait until a job's ``number``-th attempt runs; return its worker."""

    async def running() -> str:
        record = look.record(job_id)
        return record["worker"] if record["attempt"] == str(number) and record["status"] == "running" else ""

    return await wait_until_async(running, timeout_s, f"attempt {number}")


async def test_a_killed_worker_a_cancelled_job_and_a_restart(
    real_cluster: Cluster, real_caller: Caller
) -> None:
    look = Look(real_cluster, real_caller.accepted)

    killed = await real_caller.submit("a picture", seed=1, quality="high")
    worker = real_cluster.nodes[await look.stepping(killed)]
    worker.kill()
    killed_at = time.monotonic()
    await attempt(look, killed, 2)
    times.record("worker-killed", time.monotonic() - killed_at, 6)
    assert (await look.ended(killed))["status"] == "succeeded"
    assert look.outcomes(killed) == ["worker_lost", "succeeded"]
    worker.start()
    real_cluster.wait_ready(worker)

    cancelled = await real_caller.submit("a long picture", **LONG)
    where = real_cluster.nodes[await look.stepping(cancelled)]
    asked_at = time.monotonic()
    await real_caller.cancel(cancelled)
    await wait_until_async(lambda: logged(where.child.program.log, cancelled, "cancelled"), 10, "the stop")
    times.record("cancel-running", time.monotonic() - asked_at, 1.1)

    handed_back = await real_caller.submit("another picture", **LONG)
    worker = real_cluster.nodes[await look.stepping(handed_back)]
    worker.send(SIGTERM)
    await wait_until_async(lambda: told(worker.child.program.log), 10, "the worker to take notice")
    worker.send(SIGTERM)
    told_at = time.monotonic()

    async def elsewhere() -> bool:
        record = look.record(handed_back)
        return record["status"] == "running" and record["worker"] not in ("", worker.name)

    await wait_until_async(elsewhere, 10, "the job to start elsewhere")
    times.record("handed-back-starts", time.monotonic() - told_at, 1)
    await real_caller.cancel(handed_back)
    assert look.record(handed_back)["attempt"] == "1"


async def test_a_call_is_drawn_at_once_in_workers_that_are_full_of_low_jobs(
    real_cluster: Cluster, real_caller: Caller
) -> None:
    look, store = Look(real_cluster, real_caller.accepted), StoreCaller(real_cluster.store, PREFIX)
    params = Params(prompt="a picture", seed=5, width=64, height=64, quality=Quality.HIGH)

    def submit_low(name: str) -> str:
        job_id = store.submit(job_id=name, model="tiny", params=params, low=True)
        look.accepted.append(job_id)
        return job_id

    def images(job_id: str) -> object:
        return real_cluster.store.hgetall(real_cluster.keys.result(job_id))

    undisturbed = submit_low("low alone")
    await look.ended(undisturbed, 60)
    low = [submit_low(f"low {number}") for number in range(4)]
    for job_id in low[:2]:
        await look.stepping(job_id)

    for number in range(3):
        answer = await real_caller.draw("a picture", seed=number, size="64x64", quality="low")
        assert answer.status_code == httpx2.codes.OK
        record = look.record(answer.headers["x-job-id"])
        assert int(record["started_at"]) - int(record["created_at"]) < SOON_MS

    ends = [await look.ended(job_id, 60) for job_id in low]
    assert {(end["status"], end["attempt"]) for end in ends} == {("succeeded", "1")}
    # Interrupted or not, each is bit by bit the same picture.
    assert all(images(job_id) == images(undisturbed) for job_id in low)


async def test_a_device_that_takes_no_step_ends_its_process(
    real_cluster: Cluster, real_caller: Caller
) -> None:
    look = Look(real_cluster, real_caller.accepted)
    node = real_cluster.add_worker(
        "impatient", models=("tiny",), program=REAL, WORKER__STALL_S=str(STALL_S), WORKER__TORCH_THREADS="1"
    )
    for name in ("w1", "w2"):
        real_cluster.nodes[name].kill()
    real_cluster.wait_ready(node)
    job_id = await real_caller.submit("a large picture", **LARGE)
    assert await attempt(look, job_id, 1) == "impatient"
    began_at = time.monotonic()

    async def ended() -> bool:
        return not node.running

    await wait_until_async(ended, 30, "the watchdog")
    for name in ("w1", "w2"):
        real_cluster.nodes[name].start()
    real_cluster.remove(node)

    assert node.child.process.returncode == 70
    assert await attempt(look, job_id, 2, 60) in {"w1", "w2"}
    times.record("watchdog", time.monotonic() - began_at, 60)
    await real_caller.cancel(job_id)


async def logged(log: Path, job_id: str, outcome: str) -> bool:
    """Whether a worker has said that an attempt ended so."""
    lines = read(log).splitlines()
    return any(job_id in line and "attempt.ended" in line and outcome in line for line in lines)


async def told(log: Path) -> bool:
    """Whether a worker has taken notice of SIGTERM."""
    return "Warm shutdown" in read(log)


def read(log: Path) -> str:
    return log.read_text(encoding="utf-8")
