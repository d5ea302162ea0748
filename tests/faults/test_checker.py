"""The checker itself: a finding for each promise that is broken by hand."""

import base64
import io
import json
import re
from collections.abc import Callable

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.faults.checker import Checker
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.look import Look

Break = Callable[[Cluster, str], object]


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


BREAKS: dict[str, Break] = {
    "would lie there for ever": stray,
    "would stay for ever": lambda cluster, _: cluster.store.set(f"{PREFIX}stray", 1),
    "key leases is left": lambda cluster, job: cluster.store.zadd(f"{PREFIX}leases", {job: 1}),
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
    "key inputs is left": lambda cluster, job: cluster.store.zadd(f"{PREFIX}inputs", {f"{job} 9 owner": 1}),
    "input_bytes is 9, its parts are 0": lambda cluster, _: cluster.store.set(f"{PREFIX}input_bytes", 9),
    "input_bytes:owner is 0, its parts are 9": lambda cluster, job: cluster.store.zadd(
        f"{PREFIX}inputs", {f"{job} 9 owner": 1}
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
