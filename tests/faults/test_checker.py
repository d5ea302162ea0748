"""The checker itself: a finding for each promise that is broken by hand."""

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from standardwebhooks import Webhook

from tests.faults.checker import Checker
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.look import Look
from tests.faults.harness.webhooks import WebhookReceiver
from tests.waiting import wait_until_async

Break = Callable[[Cluster, str], object]
BreakOfWebhooks = Callable[[Cluster, WebhookReceiver, str], object]


def swapped(cluster: Cluster, job_id: str, word: str) -> None:
    """Let the job have asked for an edit of other pictures than it was given."""
    key = f"{PREFIX}job:{job_id}"
    params = json.loads(cluster.store.hget(key, "params"))
    params["prompt"] = re.sub(r"picture:\S+", word, params["prompt"])
    cluster.store.hset(key, "params", json.dumps(params))


def spoiled(cluster: Cluster, job_id: str) -> None:
    """Change a pixel at the edge that the mask keeps, and nothing that the picture says of itself."""
    key = f"{PREFIX}result:{job_id}"
    with Image.open(io.BytesIO(base64.b64decode(cluster.store.hget(key, "0")))) as picture:
        words = PngInfo()
        for name in ("job", "token", "inputs"):
            words.add_text(name, picture.info[name])
        last = (picture.width - 1, picture.height - 1)
        red, *others = picture.getpixel(last)
        picture.putpixel(last, (red ^ 1, *others))
        file = io.BytesIO()
        picture.save(file, "PNG", pnginfo=words)
    cluster.store.hset(key, "0", base64.b64encode(file.getvalue()))


def stray(cluster: Cluster, _: str) -> None:
    """Leave half a file of which nobody knows."""
    folder = cluster.results / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stray.png#1").write_bytes(b"half of it")


# No reaper tidies it up before the checker has looked.
LATER_MS = 10**13
BREAKS: dict[str, Break] = {
    "would lie there for ever": stray,
    "would stay for ever": lambda cluster, _: cluster.store.set(f"{PREFIX}stray", 1),
    "key leases is left": lambda cluster, job: cluster.store.zadd(f"{PREFIX}leases", {job: LATER_MS}),
    "key hooked is left": lambda cluster, job: cluster.store.zadd(f"{PREFIX}hooked", {job: LATER_MS}),
    "key owed:somebody is left": lambda cluster, _: cluster.store.set(f"{PREFIX}owed:somebody", 1),
    "was announced as": lambda cluster, job: cluster.store.xadd(
        f"{PREFIX}done", {"id": job, "status": "succeeded"}
    ),
    "has no result": lambda cluster, job: cluster.store.delete(f"{PREFIX}result:{job}"),
    "not of the winner": lambda cluster, job: cluster.store.hset(f"{PREFIX}job:{job}", "token", "another"),
    "its winner drew": lambda cluster, job: cluster.store.hset(
        f"{PREFIX}result:{job}", "1", cluster.store.hget(f"{PREFIX}result:{job}", "0")
    ),
    "is running": lambda cluster, job: cluster.store.hset(f"{PREFIX}job:{job}", "status", "running"),
    "for no reason": lambda cluster, job: cluster.store.hset(
        f"{PREFIX}job:{job}", mapping={"status": "failed", "error": '{"code": "worker_lost"}'}
    ),
    "result_bytes is": lambda cluster, _: cluster.store.incrby(f"{PREFIX}result_bytes", 1),
    "are counted as light:ended:succeeded": lambda cluster, _: cluster.store.hincrby(
        f"{PREFIX}counts", "light:ended:succeeded", 1
    ),
    "are counted as light:failed:worker_lost": lambda cluster, _: cluster.store.hincrby(
        f"{PREFIX}counts", "light:failed:worker_lost", 1
    ),
    "is left for": lambda cluster, job: cluster.store.hset(f"{PREFIX}input:{job}", "0", "a file"),
    "key inputs is left": lambda cluster, job: cluster.store.zadd(
        f"{PREFIX}inputs", {f"{job} 9 owner": LATER_MS}
    ),
    "input_bytes is 9, its parts are 0": lambda cluster, _: cluster.store.set(f"{PREFIX}input_bytes", 9),
    "input_bytes:owner is 0, its parts are 9": lambda cluster, job: cluster.store.zadd(
        f"{PREFIX}inputs", {f"{job} 9 owner": LATER_MS}
    ),
    "drawn of other pictures": lambda cluster, job: swapped(cluster, job, "picture:8:masked"),
    "another outside of its mask": spoiled,
    "has no record": lambda cluster, job: cluster.store.delete(f"{PREFIX}job:{job}"),
}


@pytest.mark.parametrize("finding", sorted(BREAKS))
async def test_a_broken_promise_is_found(cluster: Cluster, caller: Caller, finding: str) -> None:
    look = Look(cluster, caller.accepted)
    job_id = await caller.submit("a picture picture:6:masked slow:1")
    await look.ended(job_id)
    checker = Checker(cluster.store, PREFIX, cluster.results)
    assert checker.problems([job_id], cluster.events.all()) == []

    BREAKS[finding](cluster, job_id)

    found = checker.problems([job_id], cluster.events.all())
    assert any(finding in problem for problem in found), found


def changed(cluster: Cluster, job_id: str, **fields: str | int) -> None:
    """Let the record of a job say something else."""
    cluster.store.hset(f"{PREFIX}job:{job_id}", mapping=fields)


def unsigned(receiver: WebhookReceiver) -> None:
    """Let something else have come than was signed."""
    last = receiver.received[-1]
    receiver.received.append(replace(last, body=last.body.replace(b"1", b"2")))


def renamed(receiver: WebhookReceiver) -> None:
    """Let the same have come, well signed, as another event."""
    last = receiver.received[-1]
    at = datetime.fromtimestamp(int(last.headers["webhook-timestamp"]), UTC)
    signature = Webhook(receiver.secret).sign("evt_other", at, last.body.decode())
    headers = {**last.headers, "webhook-id": "evt_other", "webhook-signature": signature}
    receiver.received.append(replace(last, headers=headers))


BREAKS_OF_WEBHOOKS: dict[str, BreakOfWebhooks] = {
    "with a wrong signature": lambda _, receiver, __: unsigned(receiver),
    "with no record": lambda cluster, _, job: cluster.store.delete(f"{PREFIX}job:{job}"),
    "with no end: it is running": lambda cluster, _, job: changed(cluster, job, status="running"),
    "and not with {'status': 'failed'": lambda cluster, _, job: changed(cluster, job, status="failed"),
    "'id': 'evt_other'}, and not with": lambda _, receiver, __: renamed(receiver),
    "with an end at another time": lambda cluster, _, job: changed(cluster, job, finished_at=1),
    "that nobody wanted to hear of": lambda cluster, _, job: changed(
        cluster, job, webhook='{"events": ["job.failed"]}'
    ),
    "nobody was told of job": lambda _, receiver, __: receiver.taken.clear(),
    "1 deliveries are left": lambda cluster, _, job: cluster.store.zadd(f"{PREFIX}deliveries", {job: 1e15}),
}


@pytest.mark.parametrize("finding", sorted(BREAKS_OF_WEBHOOKS))
async def test_a_broken_promise_of_a_webhook_is_found(cluster: Cluster, caller: Caller, finding: str) -> None:
    checker = Checker(cluster.store, PREFIX, cluster.results)
    with WebhookReceiver(cluster.store, cluster.keys, seed=1) as receiver:
        cluster.wait_ready(cluster.add_courier("courier-1"))
        job_id = await caller.submit("a picture slow:1", webhook={"url": receiver.url})
        await wait_until_async(lambda: told(cluster, job_id), 20, f"the webhook of {job_id}")
        assert receiver.problems(checker.records()) == []

        BREAKS_OF_WEBHOOKS[finding](cluster, receiver, job_id)

        found = receiver.problems(checker.records())
        assert any(finding in problem for problem in found), found


async def told(cluster: Cluster, job_id: str) -> bool:
    delivery = cluster.store.hget(f"{PREFIX}job:{job_id}", "delivery")
    return bool(delivery) and json.loads(delivery)["state"] == "delivered"
