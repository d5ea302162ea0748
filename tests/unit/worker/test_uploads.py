"""Pictures on their way to the store of results, here a folder, and out of it: whatever happens meanwhile."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.errors import LeaseLost, ObjectUnavailable
from shared.jobs.scripts import ObjectsDue
from shared.objects import ObjectStore, open_store
from shared.params import OutputFormat, Params
from shared.settings import JobSettings, ResultSettings
from tests.unit.worker.test_runner import IMAGE, Slot
from tests.waiting import wait_until
from worker.attempt import Attempt
from worker.store import WorkerStore
from worker.uploads import Deleter, Uploads

PARAMS = Params(prompt="swan", seed=1, n=2, stored=True, output_format=OutputFormat.WEBP)
USAGE = {"total_tokens": 1}


class Place:
    """A folder that takes pictures, or none, as the test says."""

    def __init__(self, folder: Path) -> None:
        self.pictures = folder / "pictures"
        found = open_store(ResultSettings(urls=str(folder)))
        assert found is not None
        self.objects: ObjectStore = found

    def refuse(self) -> None:
        """Let a file be where the folder of pictures is to be: whatever is written there fails."""
        self.pictures.write_text("in the way")

    def take(self) -> None:
        """Let the folder be there again."""
        self.pictures.unlink()

    @property
    def names(self) -> set[str]:
        return {f"pictures/{path.name}" for path in self.pictures.glob("*")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


Make = Callable[..., Slot]


@pytest.fixture
def slot(redis_client: redis.Redis, prefix: str, place: Place) -> Make:
    """A function that makes a slot which writes to the folder, with these settings of results."""

    def make(*acts: Any, **settings: Any) -> Slot:
        made = Slot(redis_client, prefix, *acts)
        made.runner.uploads = Uploads(made.store, place.objects, ResultSettings(**settings), 1.0)
        return made

    return make


def submit(at_work: Slot, **more: Any) -> str:
    return at_work.caller.submit(params=PARAMS, needs=3, **more)


def stored(at_work: Slot, job_id: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = at_work.caller.client.hgetall(at_work.caller.keys.stored(job_id))
    return found


def scores(at_work: Slot) -> dict[str, float]:
    """When each object may be deleted."""
    entries = at_work.caller.client.zrange(at_work.caller.keys.objects, 0, -1, withscores=True)
    return {name.decode(): score for name, score in entries}


def test_a_stored_job_s_pictures_are_objects_and_its_result_their_names(slot: Make, place: Place) -> None:
    at_work = slot()
    job_id = submit(at_work)

    at_work.runner.answer("m")

    record = at_work.caller.record(job_id)
    assert record["status"] == "succeeded"
    names = [stored(at_work, job_id)[index].decode() for index in (b"0", b"1")]
    assert [place.objects.read(name) for name in names] == [IMAGE + b"1", IMAGE + b"2"]
    assert all(name.startswith(f"pictures/{job_id}-") and name.endswith(".webp") for name in names)
    assert at_work.images(job_id) == []
    assert int(at_work.caller.client.get(at_work.caller.keys.result_bytes)) == sum(map(len, names))
    assert scores(at_work) == dict.fromkeys(names, int(record["expires_at"]) + 60_000)
    assert json.loads(record["usage"])["output_tokens"] == 2 * 1303


def test_another_job_s_pictures_stay_base64(slot: Make, place: Place) -> None:
    at_work = slot()
    job_id = at_work.caller.submit()

    at_work.runner.answer("m")

    assert at_work.images(job_id) == [IMAGE + b"1"]
    assert place.names == set()
    assert stored(at_work, job_id) == {}
    assert scores(at_work) == {}


def test_a_store_that_comes_back_has_every_picture(slot: Make, place: Place) -> None:
    at_work = slot(upload_retry_s=20)
    job_id = submit(at_work)
    place.refuse()
    back = threading.Timer(0.5, place.take)
    back.start()

    at_work.runner.answer("m")

    back.join()
    assert at_work.caller.status(job_id) == "succeeded"
    assert len(place.names) == 2
    assert len(at_work.engine.requests) == 1


def test_a_store_that_stays_away_fails_the_job(slot: Make, place: Place) -> None:
    at_work = slot(upload_retry_s=0.3)
    job_id = submit(at_work)
    place.refuse()
    began_at = time.monotonic()

    at_work.runner.answer("m")

    assert time.monotonic() - began_at >= 0.3
    assert at_work.caller.status(job_id) == "failed"
    assert at_work.error(job_id)["code"] == "upload_failed"
    assert stored(at_work, job_id) == {}
    assert len(scores(at_work)) == 2
    assert at_work.caller.record(job_id)["attempt"] == "1"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("nothing may be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full_fails_the_job_and_one_with_room_again_does_not(
    redis_client: redis.Redis, prefix: str, small_disk: Path
) -> None:
    at_work, place = Slot(redis_client, prefix), Place(small_disk)
    settings = ResultSettings(upload_retry_s=0.3)
    at_work.runner.uploads = Uploads(at_work.store, place.objects, settings, 1.0)
    (small_disk / "what fills it").write_bytes(b"x" * 64 * 1024)
    failed = submit(at_work)

    at_work.runner.answer("m")

    assert at_work.error(failed)["code"] == "upload_failed"
    assert not [path for path in place.pictures.glob("*") if not path.name.partition("#")[2]]
    (small_disk / "what fills it").unlink()
    drawn = submit(at_work)
    at_work.runner.answer("m")
    assert at_work.caller.status(drawn) == "succeeded"
    make_due(at_work, *(name for name in scores(at_work) if failed in name))
    Deleter(at_work.store, place.objects, ResultSettings()).delete()
    assert place.names == {name.decode() for name in stored(at_work, drawn).values()}


@pytest.mark.parametrize("how", ["cancelled", "handed back"])
def test_an_attempt_that_is_stopped_uploads_no_more(slot: Make, place: Place, how: str) -> None:
    at_work = slot(upload_retry_s=60)
    job_id = submit(at_work)
    place.refuse()

    def stop() -> None:
        (held,) = at_work.ledger.all()
        if how == "cancelled":
            at_work.caller.cancel(job_id)
            held.stop_reason = how
        else:
            at_work.runner.draining.set()
            at_work.ledger.hand_back()

    stopping = threading.Timer(0.3, stop)
    stopping.start()
    began_at = time.monotonic()
    at_work.runner.answer("m")

    assert time.monotonic() - began_at < 10
    record = at_work.caller.record(job_id)
    ends = {"cancelled": ("cancelled", "1"), "handed back": ("queued", "0")}
    assert (record["status"], record["attempt"]) == ends[how]
    assert stored(at_work, job_id) == {}


def test_a_worker_without_a_store_draws_nothing_for_it(redis_client: redis.Redis, prefix: str) -> None:
    at_work = Slot(redis_client, prefix)
    job_id = submit(at_work, max_attempts=2)
    other = at_work.caller.submit()

    at_work.runner.answer("m")

    assert at_work.caller.status(job_id) == "failed"
    assert at_work.error(job_id)["code"] == "upload_failed"
    assert at_work.caller.record(job_id)["attempt"] == "2"
    assert at_work.caller.status(other) == "succeeded"
    assert len(at_work.engine.requests) == 1


def claimed(at_work: Slot) -> Attempt:
    (attempt,) = at_work.store.claim("m", "another", want=1, alone=True).attempts
    return attempt


def uploaded(at_work: Slot, attempt: Attempt) -> list[str]:
    """Let an attempt come as far as its upload, and no further."""
    uploads = at_work.runner.uploads
    assert uploads is not None
    names = uploads.names(attempt, 2, OutputFormat.WEBP)
    uploads.write(at_work.ledger.add(attempt), names, [b"one", b"two"], "image/webp")
    at_work.ledger.remove(attempt)
    return names


def make_due(at_work: Slot, *names: str) -> None:
    at_work.caller.client.zadd(at_work.caller.keys.objects, dict.fromkeys(names, 1), xx=True)


def test_what_a_dead_worker_uploaded_is_deleted_and_the_next_attempt_s_pictures_stay(
    slot: Make, place: Place, redis_client: redis.Redis, prefix: str
) -> None:
    at_work = slot()
    job_id = submit(at_work)
    orphans = uploaded(at_work, claimed(at_work))
    reaper = WorkerStore(redis_client, JobSettings(reap_s=0.001, lease_s=0.02, heartbeat_s=0.001), prefix)
    at_work.caller.client.zadd(at_work.caller.keys.leases, {job_id: 1})
    wait_until(lambda: (reaper.reap(), at_work.caller.status(job_id) == "queued")[1])

    at_work.runner.answer("m")
    make_due(at_work, *orphans)
    Deleter(at_work.store, place.objects, ResultSettings()).delete()

    results = {name.decode() for name in stored(at_work, job_id).values()}
    assert len(results) == 2
    assert place.names == results == set(scores(at_work))
    assert not results & set(orphans)


def test_what_is_taken_for_deletion_is_no_attempt_s_any_more(slot: Make) -> None:
    at_work = slot()
    job_id = submit(at_work)
    attempt = claimed(at_work)
    names = uploaded(at_work, attempt)
    make_due(at_work, *names)
    taken = at_work.store.take_expired(most=1, again_s=60)
    assert len(taken) == 1

    at_work.store.save_draft(attempt, [name.encode() for name in names])
    with pytest.raises(ObjectsDue):
        at_work.store.finish(attempt, images=2, usage=USAGE, objects=names)
    assert at_work.store.fail(attempt, code="objects_due", message="late", again="retry") == "queued"
    assert stored(at_work, job_id) == {}


def test_no_name_is_noted_for_a_job_that_is_no_longer_the_attempt_s(slot: Make, place: Place) -> None:
    at_work = slot()
    job_id = submit(at_work)
    attempt = claimed(at_work)
    at_work.caller.cancel(job_id)

    with pytest.raises(LeaseLost):
        uploaded(at_work, attempt)
    assert scores(at_work) == {}
    assert place.names == set()


def test_what_has_expired_is_deleted_once_and_completely(slot: Make, place: Place) -> None:
    at_work = slot()
    job_id = submit(at_work)
    at_work.runner.answer("m")
    first, second = (name.decode() for name in stored(at_work, job_id).values())
    (place.pictures / f"{Path(first).name}#1").write_bytes(b"half of it")
    make_due(at_work, first)
    deleter = Deleter(at_work.store, place.objects, ResultSettings())

    deleter.delete()
    deleter.delete()

    assert place.names == {second}
    assert set(scores(at_work)) == {second}
    assert not at_work.caller.client.exists(at_work.caller.keys.deleting)


def test_more_than_a_handful_goes_in_one_round(slot: Make, place: Place) -> None:
    at_work = slot()
    names = [f"pictures/{i}.png" for i in range(250)]
    for name in names:
        place.objects.put(name, b"x", "image/png")
    at_work.caller.client.zadd(at_work.caller.keys.objects, dict.fromkeys(names, 1))

    Deleter(at_work.store, place.objects, ResultSettings()).delete()

    assert place.names == set()


def test_what_cannot_be_deleted_comes_again_later(slot: Make, place: Place) -> None:
    at_work = slot()
    client, keys = at_work.caller.client, at_work.caller.keys
    name = "pictures/a.png"
    (place.pictures / "a.png").mkdir(parents=True)  # what is a folder is deleted by nobody as a file
    (place.pictures / "a.png" / "x").write_text("x")
    client.zadd(keys.objects, {name: 1})
    deleter = Deleter(at_work.store, place.objects, ResultSettings())

    with pytest.raises(ObjectUnavailable):
        deleter.delete()
    deleter.delete()  # not at once
    (again_at,) = [score for _, score in client.zrange(keys.deleting, 0, -1, withscores=True)]
    assert 50_000 < again_at - time.time() * 1000 < 61_000

    (place.pictures / "a.png" / "x").unlink()
    (place.pictures / "a.png").rmdir()
    client.zadd(keys.deleting, {name: 1})
    deleter.delete()
    assert not client.exists(keys.deleting)


def test_where_the_bucket_deletes_names_are_forgotten(slot: Make, place: Place) -> None:
    at_work = slot()
    place.objects.put("pictures/a.png", b"x", "image/png")
    at_work.caller.client.zadd(at_work.caller.keys.objects, {"pictures/a.png": 1})

    Deleter(at_work.store, place.objects, ResultSettings(delete_expired=False)).delete()

    assert place.names == {"pictures/a.png"}
    assert scores(at_work) == {}
    assert not at_work.caller.client.exists(at_work.caller.keys.deleting)
