"""From a submission to the start of work on an idle worker: real HTTP, Valkey and Celery, a light engine."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from tests.faults.harness.caller import GENERATIONS, JOBS
from tests.faults.harness.cluster import Cluster
from tests.waiting import wait_until

_WARM_UP: Final = 20


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
        with httpx2.Client(base_url=api.url, timeout=20, trust_env=False) as http:
            sent = [_submit(http) for _ in range(_WARM_UP + times)][_WARM_UP:]
        began = {event.job: event.at for event in cluster.events.all() if event.event == "start"}
    return Started(
        sorted(1000 * (answered_at - sent_at) for _, sent_at, answered_at in sent),
        sorted(1000 * (began[job_id] - sent_at) for job_id, sent_at, _ in sent),
    )


def _submit(http: httpx2.Client) -> tuple[str, float, float]:
    """Submit a job and wait for its end; return its id, when it was sent, and when that was answered."""
    # The engine logs instants of the same monotonic clock, which Linux has one of.
    sent_at = time.monotonic()
    body = {"prompt": "slow:1", "size": "64x64", "quality": "low"}
    answer = http.post(GENERATIONS, json=body, headers={"prefer": "respond-async"})
    answered_at = time.monotonic()
    job_id: str = answer.raise_for_status().json()["id"]
    wait_until(lambda: http.get(f"{JOBS}/{job_id}").json()["status"] == "succeeded", what="the job's end")
    return job_id, sent_at, answered_at
