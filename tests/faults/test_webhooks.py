"""Webhooks while what sends, takes or remembers them is away: told in the end, under one id."""

import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest
from standardwebhooks import Webhook

from cli.ports import free_port
from shared.webhooks import OPEN, Signing
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster, Node
from tests.faults.harness.lasting import lasting
from tests.faults.harness.look import Look
from tests.faults.test_forged_rings import forgeries
from tests.keys import found
from tests.receiver import LOOPBACK, Receiver, hang, slow, status
from tests.waiting import wait_until, wait_until_async

BELL = f"{PREFIX}ring:@courier"


@pytest.fixture
def signing(cluster: Cluster) -> Signing:
    """What signs, once the service is as it should be."""
    made = Signing.new(1)
    cluster.store.hset(cluster.keys.webhook_secrets, OPEN, made.model_dump_json())
    cluster.store.set(cluster.keys.open_webhook, 1)
    return made


@pytest.fixture
def courier(cluster: Cluster, signing: Signing) -> Node:
    del signing
    return ready(cluster, "courier-1")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def ready(cluster: Cluster, name: str) -> Node:
    node = cluster.add_courier(name)
    cluster.wait_ready(node)
    return node


async def told(caller: Caller, job_id: str, timeout_s: float = 30) -> dict[str, object]:
    """Wait until a job's webhook was delivered; return what the job says of it."""

    async def delivered() -> dict[str, object] | None:
        webhook: dict[str, object] = (await caller.job(job_id))["webhook"]
        return webhook if webhook["state"] == "delivered" else None

    found = await wait_until_async(delivered, timeout_s, f"the webhook of {job_id}")
    assert found is not None
    return found


def has(receiver: Receiver, requests: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return len(receiver.received) >= requests

    return check


def ended(node: Node) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return not node.running

    return check


async def test_a_picture_is_told_of_within_a_second_of_its_end(
    caller: Caller, look: Look, courier: Node, receiver: Receiver, signing: Signing
) -> None:
    del courier
    job_id = await caller.submit("told slow:20", webhook={"url": receiver.url})
    await lasting(0.3)
    assert receiver.received == []

    end = await look.ended(job_id)
    await told(caller, job_id, 5)

    (received,) = receiver.received
    event = Webhook(signing.secret).verify(received.body, received.headers)
    assert event["data"]["status"] == end["status"] == "succeeded"


async def test_a_courier_that_dies_in_the_middle_of_a_try_loses_nothing(
    cluster: Cluster, caller: Caller, courier: Node, receiver: Receiver
) -> None:
    receiver.replies = [hang(1.5)]
    job_id = await caller.submit("a picture", webhook={"url": receiver.url})
    await wait_until_async(has(receiver, 1))

    courier.send(SIGKILL)
    wait_until(lambda: not courier.running)
    ready(cluster, "courier-2")
    webhook = await told(caller, job_id)

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == f"evt_{job_id}"
    assert first.body == second.body
    assert webhook["attempts"] == 2


async def test_a_courier_that_is_told_to_stop_ends_its_try_and_takes_no_other(
    caller: Caller, courier: Node, receiver: Receiver
) -> None:
    receiver.usual = slow(1.0)
    job_id = await caller.submit("a picture", webhook={"url": receiver.url})
    await wait_until_async(has(receiver, 1))

    courier.send(SIGTERM)
    await wait_until_async(ended(courier), 20)

    assert courier.child.process.returncode == 0
    assert (await caller.job(job_id))["webhook"]["state"] == "delivered"
    assert len(receiver.received) == 1


async def test_a_receiver_that_was_down_is_told_when_it_is_back(
    caller: Caller, look: Look, courier: Node, signing: Signing
) -> None:
    del courier
    port = free_port()
    job_id = await caller.submit("a picture", webhook={"url": f"http://{LOOPBACK}:{port}/"})
    await look.ended(job_id)

    async def tried() -> bool:
        return bool((await caller.job(job_id))["webhook"]["attempts"] >= 2)

    await wait_until_async(tried, 20)
    assert (await caller.job(job_id))["webhook"]["error"].startswith("the receiver cannot be reached")
    with Receiver(port=port) as receiver:
        webhook = await told(caller, job_id)

    (received,) = receiver.received
    Webhook(signing.secret).verify(received.body, received.headers)
    assert webhook["error"] is None


async def test_a_store_that_is_away_while_it_is_told_forgets_nothing(
    cluster: Cluster, caller: Caller, courier: Node, receiver: Receiver
) -> None:
    receiver.usual = slow(1.0)
    job_id = await caller.submit("a picture", webhook={"url": receiver.url})
    await wait_until_async(has(receiver, 1))
    await lasting(1.2)  # every second it is on the disk of the store

    cluster.server.kill()
    await lasting(3)
    cluster.server.start()
    cluster.wait_ready(cluster.nodes["api-1"])
    await told(caller, job_id, 40)

    assert courier.running
    assert {each.headers["webhook-id"] for each in receiver.received} == {f"evt_{job_id}"}
    assert len(receiver.received) <= 2


async def test_lost_rings_and_forged_ones_delay_nothing_and_end_nobody(
    cluster: Cluster, caller: Caller, courier: Node, receiver: Receiver, tmp_path: Path
) -> None:
    mark = tmp_path / "it-ran"
    pid = courier.pid
    for forgery in forgeries(mark).values():
        cluster.broker.lpush(BELL, forgery)
    wait_until(lambda: cluster.broker.llen(BELL) == 0, 20, "every forgery to be taken")

    began = time.monotonic()
    job_id = await caller.submit("a picture", webhook={"url": receiver.url})
    while time.monotonic() - began < 1:
        cluster.broker.delete(BELL)
        await lasting(0.01)
    await told(caller, job_id)

    assert courier.running
    assert courier.pid == pid
    assert not mark.exists()


async def test_a_job_that_fails_is_told_of_as_failed(
    caller: Caller, courier: Node, receiver: Receiver
) -> None:
    del courier
    job_id = await caller.submit("poison:raise", webhook={"url": receiver.url})
    await told(caller, job_id)

    (received,) = receiver.received
    event = json.loads(received.body)
    assert event["type"] == "job.failed"
    assert event["data"]["error"]["code"] == "generation_failed"
    assert b"poison" not in received.body


async def test_neither_addresses_nor_secrets_stand_in_logs(
    cluster: Cluster, caller: Caller, courier: Node, receiver: Receiver, signing: Signing
) -> None:
    del courier
    receiver.replies = [status(500)]
    job_id = await caller.submit("a picture", webhook={"url": receiver.url})
    await told(caller, job_id)

    logs = {name: node.child.program.log.read_text() for name, node in cluster.nodes.items()}
    assert LOOPBACK in logs["courier-1"]
    assert job_id in logs["courier-1"]
    assert found(["a-secret-path", "token=test-of-a-token", signing.secret, signing.secret[6:]], logs) == []
