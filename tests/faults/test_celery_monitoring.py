"""Celery's own tools and Flower see a worker that may be watched; they never change one, and see no other."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import redis
from celery import Celery

from cli.ports import free_port
from cli.processes import Child, Program
from shared.settings import REPO_ROOT
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster, Node
from tests.faults.harness.look import Look
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

AUTH: Final = ("darkroom", "a good password")
ANSWERED_S: Final = 2.0
SECRET: Final = "broker-secret"
REFUSAL: Final = {"error": "refused: this worker can be watched, and not controlled"}
CHANGES: Final[dict[str, dict[str, Any]]] = {
    "shutdown": {},
    "pool_shrink": {"n": 1},
    "cancel_consumer": {"queue": "faults:ring:light"},
    "rate_limit": {"task_name": "darkroom.ring", "rate_limit": "1/h"},
    "revoke": {"task_id": "1", "terminate": True},
    "hello": {"from_node": "celery@elsewhere", "revoked": {"1": 1}},
}


def broker(cluster: Cluster, user: str = "") -> str:
    return f"redis://{user}127.0.0.1:{cluster.server.port}/1"


def asked(cluster: Cluster, command: str, **arguments: Any) -> Any:
    """Ask as somebody who knows nothing of Darkroom but its broker; the first answer, or None."""
    with Celery(broker=broker(cluster), set_as_current=False) as celery:
        replies = celery.control.broadcast(
            command, arguments=arguments, reply=True, timeout=ANSWERED_S, limit=1
        )
    return next((answer for reply in replies for answer in reply.values()), None)


def asked_again(cluster: Cluster) -> Any:
    """Ask with connections of which some are dead: Celery keeps them beyond the application."""
    try:
        return asked(cluster, "ping")
    except redis.ConnectionError:
        return None


@pytest.fixture
def watched(cluster: Cluster) -> Node:
    """A worker that may be watched; w1 and w2 beside it may not. Any password will do for its broker."""
    url = broker(cluster, f"default:{SECRET}@")
    node = cluster.add_worker("watched", WORKER__CELERY_MONITORING="true", REDIS__BROKER_URL=url)
    cluster.wait_ready(node)
    # It serves a moment before Celery listens to commands.
    wait_until(lambda: asked(cluster, "ping"), 30, "an answer to a ping")
    return node


def test_workers_answer_nobody_by_default(cluster: Cluster) -> None:
    assert cluster.nodes["w1"].running
    assert cluster.nodes["w2"].running

    assert asked(cluster, "ping") is None


def test_a_worker_that_may_be_watched_answers_what_looks_and_refuses_what_changes(
    cluster: Cluster, watched: Node
) -> None:
    queues = asked(cluster, "active_queues")
    conf = asked(cluster, "conf", with_defaults=True)
    refusals = [asked(cluster, command, **arguments) for command, arguments in CHANGES.items()]

    assert "faults:ring:light" in [queue["name"] for queue in queues]
    assert conf["accept_content"] == ["json"]
    assert "127.0.0.1" in conf["broker_url"]
    assert SECRET not in str(conf)
    assert refusals == [REFUSAL] * len(CHANGES)
    assert asked(cluster, "ping") == {"ok": "pong"}
    assert watched.running


async def test_a_watched_worker_outlives_valkey_and_is_seen_again(
    cluster: Cluster, caller: Caller, look: Look, watched: Node
) -> None:
    pid = watched.pid

    cluster.server.kill()
    cluster.server.start()

    wait_until(lambda: asked_again(cluster), 30, "an answer to a ping after Valkey is back")
    assert watched.running
    assert watched.pid == pid
    cluster.nodes["w1"].kill()
    cluster.nodes["w2"].kill()
    job_id = await caller.submit("drawn by the watched one")
    assert (await look.ended(job_id))["worker"] == "watched"


@pytest.fixture
def flower(cluster: Cluster, tmp_path: Path) -> Iterator[httpx2.Client]:
    """Flower, with the settings of deploy/flower.Dockerfile and docker-compose.flower.yml."""
    port = free_port()
    image = (REPO_ROOT / "deploy" / "flower.Dockerfile").read_text()
    set_by_the_image = dict(
        word.split("=") for word in image.replace("\\\n", " ").split() if word.startswith("FLOWER_")
    )
    environment = {
        **set_by_the_image,
        "CELERY_BROKER_URL": broker(cluster),
        "FLOWER_BASIC_AUTH": ":".join(AUTH),
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(port),
    }
    command = (sys.executable, "-m", "celery", "flower")
    child = Child(Program("flower", command, tmp_path / "flower.log", tmp_path, environment))
    child.start()
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as http:
        wait_until(lambda: answers(http), 30, "Flower's health")
        yield http
    child.stop(10)


def answers(http: httpx2.Client) -> bool:
    try:
        return http.get("/healthcheck").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


@pytest.mark.timeout(120)
async def test_flower_shows_the_worker_and_its_rings_to_who_has_the_password_and_changes_nothing(
    caller: Caller, look: Look, watched: Node, flower: httpx2.Client
) -> None:
    for path in ("/workers", "/api/workers", "/api/tasks"):
        assert flower.get(path).status_code == httpx2.codes.UNAUTHORIZED
        assert flower.get(path, auth=(AUTH[0], "wrong")).status_code == httpx2.codes.UNAUTHORIZED

    listed = wait_until(
        lambda: flower.get("/api/workers", auth=AUTH, params={"refresh": "1"}).json(), 30, "a worker"
    )
    (name,) = listed
    assert "faults:ring:light" in [queue["name"] for queue in listed[name]["active_queues"]]
    stopped = flower.post(f"/api/worker/shutdown/{name}", auth=AUTH)
    assert stopped.status_code == httpx2.codes.FORBIDDEN
    jobs = [await caller.submit(f"seen {number}") for number in range(6)]
    for job_id in jobs:
        await look.ended(job_id)
    seen = wait_until(lambda: flower.get("/api/tasks", auth=AUTH).json(), 10, "a ring")
    assert {ring["name"] for ring in seen.values()} == {"darkroom.ring"}
    assert "seen" not in str([ring["args"] for ring in seen.values()])
    assert watched.running
