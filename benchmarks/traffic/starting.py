"""From a submission to the start of work on an idle worker: real HTTP, Valkey and Celery, a light engine."""

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.traffic.wire import Wire, get, post
from tests.faults.harness.caller import GENERATIONS, JOBS
from tests.faults.harness.cluster import Cluster
from tests.waiting import wait_until_async

_WARM_UP: Final = 20
_BODY: Final = {"prompt": "slow:1", "size": "64x64", "quality": "low"}
_REQUEST: Final = post(GENERATIONS, _BODY, Prefer="respond-async")


@dataclass(frozen=True)
class Started:
    """Milliseconds from sending the request, sorted: to its answer, and to the first step of its job."""

    answered_ms: list[float]
    started_ms: list[float]


def starts(folder: Path, times: int) -> Started:
    """Submit jobs one after the other, each when the worker is idle again."""
    with Cluster(folder, LOG__LEVEL="warning") as cluster:
        api = cluster.add_api("api")
        cluster.add_worker("worker")
        cluster.wait_ready()
        sent = asyncio.run(_submit_all(urlsplit(api.url).port or 0, _WARM_UP + times))[_WARM_UP:]
        began = {event.job: event.at for event in cluster.events.all() if event.event == "start"}
    return Started(
        sorted(1000 * (answered_at - sent_at) for _, sent_at, answered_at in sent),
        sorted(1000 * (began[job_id] - sent_at) for job_id, sent_at, _ in sent),
    )


async def _submit_all(port: int, times: int) -> list[tuple[str, float, float]]:
    """Submit so many jobs, each when the one before has ended; return their ids, and when what happened."""
    wire = await Wire.open(port)
    found = [await _submit(wire) for _ in range(times)]
    wire.close()
    return found


async def _submit(wire: Wire) -> tuple[str, float, float]:
    """Submit a job and wait for its end; return its id, when it was sent, and when that was answered."""
    # The engine logs instants of the same monotonic clock, which Linux has one of.
    sent_at = time.monotonic()
    answer = await wire.ask(_REQUEST)
    job_id: str = json.loads(answer.body)["id"]

    async def ended() -> bool:
        state = await wire.ask(get(f"{JOBS}/{job_id}"))
        return bool(json.loads(state.body)["status"] == "succeeded")

    await wait_until_async(ended, what="the job's end")
    return job_id, sent_at, answer.at
