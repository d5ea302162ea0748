"""What real workers cost the store by being there: processes with Celery, around an engine without torch."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.harness.cluster import Cluster


@dataclass(frozen=True)
class Idle:
    """One idle worker beside others: share of the server's core, its commands a second, its connections."""

    share: float
    commands: float
    connections: float


def idle(few: int, many: int, seconds: float) -> Idle:
    """Compare an idle service of many workers with one of few."""
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        _grow(cluster, 0, few)
        before = _watch(cluster, seconds)
        _grow(cluster, few, many)
        after = _watch(cluster, seconds)
    more = many - few
    return Idle(*((after[name] - before[name]) / more for name in ("cpu", "commands", "connections")))


def _grow(cluster: Cluster, start: int, end: int) -> None:
    for number in range(start, end):
        cluster.add_worker(f"worker-{number}")
    cluster.wait_ready()


def _watch(cluster: Cluster, seconds: float) -> dict[str, float]:
    client: Any = cluster.store
    began = _numbers(client)
    time.sleep(seconds)
    ended = _numbers(client)
    a_second = {name: (ended[name] - began[name]) / seconds for name in ("cpu", "commands")}
    return {**a_second, "connections": ended["connections"]}


def _numbers(client: Any) -> dict[str, float]:  # noqa: ANN401 - see ApiStore
    said = {**client.info("cpu"), **client.info("stats"), **client.info("clients")}
    return {
        "cpu": said["used_cpu_user"] + said["used_cpu_sys"],
        "commands": said["total_commands_processed"],
        "connections": said["connected_clients"],
    }
