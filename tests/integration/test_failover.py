"""A replica, three Sentinels and HAProxy in front: the address stays, whichever server is the primary.

HAProxy has the very text that docs/operations.md shows.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from cli.ports import free_port
from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT
from tests.integration.conftest import Serve
from tests.waiting import wait_until

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
OPERATIONS = REPO_ROOT / "docs" / "operations.md"
DOWN_AFTER_MS = 1000

pytestmark = [
    pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed"),
    pytest.mark.timeout(90),
]


@dataclass(frozen=True)
class Pair:
    """Two servers behind one address."""

    url: str
    primary: EmbeddedServer
    replica: EmbeddedServer


def replica_of(primary: EmbeddedServer) -> EmbeddedServer:
    return EmbeddedServer(options=("--replicaof", "127.0.0.1", str(primary.port)))


def sentinel(folder: Path, primary: EmbeddedServer, stack: ExitStack) -> None:
    port = free_port()
    folder.mkdir()
    (folder / "sentinel.conf").write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder}/log\n"
        f"sentinel monitor darkroom 127.0.0.1 {primary.port} 2\n"
        f"sentinel down-after-milliseconds darkroom {DOWN_AFTER_MS}\n"
        "sentinel failover-timeout darkroom 5000\n"
    )
    start([str(primary.binary.path), str(folder / "sentinel.conf"), "--sentinel"], stack)
    client = stack.enter_context(redis.Redis(port=port, protocol=2, decode_responses=True))
    wait_until(lambda: replicas(client) == 1, 20, "a Sentinel to know the replica")


def replicas(client: redis.Redis) -> int:
    try:
        found = client.execute_command("SENTINEL", "REPLICAS", "darkroom")
    except redis.exceptions.ConnectionError:
        return 0
    return len(found)


def proxy(folder: Path, servers: list[EmbeddedServer], stack: ExitStack) -> str:
    (block,) = re.findall(r"^```haproxy\n(.*?)^```$", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)
    port = free_port()
    for known, here in (
        ("bind :6379", f"bind 127.0.0.1:{port}"),
        ("10.0.0.7:6379", f"127.0.0.1:{servers[0].port}"),
        ("10.0.0.8:6379", f"127.0.0.1:{servers[1].port}"),
    ):
        assert known in block
        block = block.replace(known, here)
    file = folder / "haproxy.cfg"
    file.write_text(block)
    checked = subprocess.run(
        [str(HAPROXY), "-c", "-f", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr + checked.stdout
    start([str(HAPROXY), "-db", "-f", str(file)], stack)
    return f"redis://127.0.0.1:{port}/0"


def start(command: list[str], stack: ExitStack) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait, 10)
    stack.callback(process.terminate)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        primary = stack.enter_context(EmbeddedServer())
        replica = stack.enter_context(replica_of(primary))
        with redis.Redis(port=replica.port, protocol=2) as client:
            wait_until(lambda: client.info("replication")["master_link_status"] == "up", 20, "the replica")
        for number in range(3):
            sentinel(tmp_path / f"sentinel{number}", primary, stack)
        url = proxy(tmp_path, [primary, replica], stack)
        with redis.Redis.from_url(url, protocol=2) as client:
            wait_until(lambda: writes(client), 20, "the proxy to know the primary")
        yield Pair(url, primary, replica)


def writes(client: redis.Redis) -> bool:
    """Whether every fresh connection leads to the primary: until it has asked, HAProxy takes any for one."""
    try:
        for _ in range(8):
            client.connection_pool.disconnect()
            client.set("known", "1")
    except (redis.exceptions.ConnectionError, redis.exceptions.ReadOnlyError):
        return False
    return True


@pytest.mark.slow
def test_a_primary_that_dies_costs_seconds_and_no_job(serve: Serve, pair: Pair) -> None:
    service = serve(server=pair)
    held = service.caller.later()
    wait_until(lambda: service.waiting == 1, what="the held call")
    with redis.Redis(port=pair.replica.port, protocol=2) as client:
        wait_until(
            lambda: client.zcard(service.key("queue", "tiny")) == 1, what="the replica to have the job"
        )

    pair.primary.kill()
    refused = service.caller.generate({"Prefer": "respond-async"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")

    def accepted() -> bool:
        return service.caller.generate({"Prefer": "respond-async"}).status_code == 202

    wait_until(accepted, 20, "new work to be taken")
    service.worker.beat()
    service.worker.do()
    assert held.result(10).status_code == 200
