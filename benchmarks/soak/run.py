"""One run: a service, its callers, and a look at what is left when they have gone."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.soak.callers import Callers, Heard
from benchmarks.soak.leftovers import Leftovers
from benchmarks.soak.watching import Taken, Watch, with_children
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.waiting import wait_until

_LOOKS: Final = 200
_SETTLE_S: Final = 30.0


@dataclass(frozen=True)
class Traffic:
    """What is asked of the service, and after how long it forgets: records, results and deadlines."""

    seconds: float
    callers: int
    owners: int
    seed: int
    record_ttl_s: int = 20
    result_ttl_s: int = 10
    deadline_s: float = 60.0


@dataclass(frozen=True)
class Soak:
    """What a run has shown."""

    seconds: float
    heard: Heard
    taken: Mapping[str, Sequence[Taken]]
    settled_s: float
    kept: Mapping[str, int]
    disk_bytes: int
    problems: list[str]


def run(folder: Path, traffic: Traffic, *, processes: int, workers: int) -> Soak:
    """Start a service in a folder, soak it, and look at it."""
    settings = {
        "JOBS__RECORD_TTL_S": str(traffic.record_ttl_s),
        "JOBS__RESULT_TTL_S": str(traffic.result_ttl_s),
        "JOBS__DEADLINE_S": str(traffic.deadline_s),
        "JOBS__ABANDON_GRACE_S": "1",
        "LOG__LEVEL": "warning",
    }
    with Cluster(folder, **settings) as cluster:
        api = cluster.add_api("api", API__PROCESSES=str(processes))
        for number in range(1, workers + 1):
            cluster.add_worker(f"worker {number}", capacity=8, WORKER__SLOTS="8")
        cluster.wait_ready()
        callers = Callers(api.url, count=traffic.callers, owners=traffic.owners, seed=traffic.seed)
        watch = asyncio.run(_soak(cluster, callers, traffic.seconds))
        left_at = time.monotonic()
        ended = [f"{name} had ended after {at_s:.0f} s" for name, at_s in watch.ended.items()]
        problems = [*ended, *callers.heard.problems, *_left(cluster, traffic)]
        settled_s = time.monotonic() - left_at
        kept, disk_bytes = Leftovers(cluster.store, PREFIX).kept(), _size(folder)
        return Soak(traffic.seconds, callers.heard, watch.samples, settled_s, kept, disk_bytes, problems)


async def _soak(cluster: Cluster, callers: Callers, seconds: float) -> Watch:
    nodes = [(node.name, node.pid) for node in cluster.nodes.values()]
    others = [("Valkey", cluster.server.process.pid), ("the soak itself", os.getpid())]
    pids = {**with_children(nodes), **dict(others)}
    async with Watch(pids, max(0.5, seconds / _LOOKS)) as watch:
        await callers.call_for(seconds)
    return watch


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _left(cluster: Cluster, traffic: Traffic) -> list[str]:
    """Wait until everything has expired; return what has not, and what would never."""
    leftovers = Leftovers(cluster.store, PREFIX)
    problems = []
    expired_s = traffic.deadline_s + traffic.record_ttl_s + _SETTLE_S
    for what, timeout_s in ((leftovers.of_work, _SETTLE_S), (leftovers.passing, expired_s)):
        try:
            wait_until(lambda what=what: not what(), timeout_s, "the keys to go")
        except AssertionError:
            problems.append(f"left after {timeout_s:g} s: {what()[:20]}")
    found = (leftovers.for_ever, leftovers.counted, leftovers.subscriptions)
    return problems + [f"{look.__name__}: {each}" for look in found for each in look()]
