"""A slot at work: it claims, draws, delivers, and reports every way in which that can end otherwise."""

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import fakeredis
import pytest
import redis

from shared.catalogue import ModelSpec
from shared.errors import (
    AttemptCancelled,
    DarkroomError,
    GenerationFailed,
    MadeWay,
    OutOfDeviceMemory,
)
from shared.job_warnings import JobWarning
from shared.params import PARAMS_VERSION, Params
from shared.settings import JobSettings, ModerationSettings, WorkerSettings
from tests.conftest import FlaglessFakeRedis
from tests.jobs import Caller
from tests.tiny_models import TINY_ENTRY
from worker.claiming import Claims, Room
from worker.engine import ImageRequest, ImageResult
from worker.inspection import Inspection
from worker.ledger import Held, Ledger
from worker.planning import Planner
from worker.runner import Runner
from worker.store import WorkerStore

SPEC = ModelSpec.model_validate({"name": "m", "weights": "nowhere", **TINY_ENTRY})
IMAGE = b"a picture"
UNREADABLE = "The job's parameters cannot be read."

Act = Callable[[ImageRequest, Held], ImageResult]


def drawn(request: ImageRequest, _: Held) -> ImageResult:
    """What an engine that works returns."""
    images = tuple(IMAGE + str(seed).encode() for seed in request.seeds)
    return ImageResult(images, prompt_tokens=5, timings_s={"denoise": 0.1})


class ScriptedEngine:
    """Does in turn what it is told, and then draws; each request is answered before the next."""

    def __init__(self, *acts: Act | Exception) -> None:
        self._acts = list(acts)
        self.requests: list[ImageRequest] = []

    def submit(self, request: ImageRequest, watcher: Held) -> "Future[ImageResult]":
        self.requests.append(request)
        act = self._acts.pop(0) if self._acts else drawn
        future: Future[ImageResult] = Future()
        if isinstance(act, Exception):
            future.set_exception(act)
            return future
        try:
            future.set_result(act(request, watcher))
        except DarkroomError as error:
            future.set_exception(error)
        return future


class Slot:
    """A runner with its store, and the caller whose jobs it runs."""

    def __init__(self, client: redis.Redis, prefix: str, *acts: Act | Exception, **settings: Any) -> None:
        self.engine: Any = ScriptedEngine(*acts)
        self.store = WorkerStore(client, JobSettings(), prefix)
        self.caller = Caller(client, prefix)
        self.ledger = Ledger()
        planner = Planner({"m": SPEC}, Inspection(None, ModerationSettings()))
        room = Room(settings.pop("slots", 4), settings.pop("low_slots", 4))
        claims = Claims("w", self.store, self.ledger, room)
        self.runner = Runner(
            claims, self.store, self.engine, planner, self.ledger, WorkerSettings(**settings)
        )

    def error(self, job_id: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.caller.record(job_id)["error"])
        return found

    def images(self, job_id: str) -> list[bytes]:
        stored = self.caller.client.hgetall(self.caller.keys.result(job_id))
        return [base64.b64decode(stored[str(i).encode()]) for i in range(len(stored))]


@pytest.fixture
def slot(redis_client: redis.Redis, prefix: str) -> Callable[..., Slot]:
    """A function that makes a slot whose engine does what it is given."""
    return lambda *acts, **settings: Slot(redis_client, prefix, *acts, **settings)


MakeSlot = Callable[..., Slot]


def test_one_ring_runs_every_queued_job(slot: MakeSlot) -> None:
    at_work = slot()
    ids = [at_work.caller.submit() for _ in range(3)]

    at_work.runner.answer("m")

    assert [at_work.caller.status(job_id) for job_id in ids] == ["succeeded"] * 3
    assert [at_work.images(job_id) for job_id in ids] == [[IMAGE + b"1"]] * 3
    assert [request.wording.words for request in at_work.engine.requests] == [f"prompt of {i}" for i in ids]
    assert len(at_work.ledger) == 0


def test_the_tokens_of_the_engine_are_billed(slot: MakeSlot) -> None:
    at_work = slot()
    job_id = at_work.caller.submit()

    at_work.runner.answer("m")

    usage = json.loads(at_work.caller.record(job_id)["usage"])
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (5, 1303, 1308)


def test_what_the_engine_and_the_models_entry_warn_of_is_told_with_the_result(slot: MakeSlot) -> None:
    def cut(request: ImageRequest, held: Held) -> ImageResult:
        return replace(drawn(request, held), warnings=(JobWarning("prompt_truncated", "It was cut."),))

    at_work = slot(cut)
    warned = at_work.caller.submit(params=Params(prompt="swan", seed=1, width=256, height=256))
    silent = at_work.caller.submit(params=Params(prompt="swan", seed=1, width=64, height=64))

    at_work.runner.answer("m")

    assert json.loads(at_work.caller.record(warned)["warnings"]) == [
        {"code": "prompt_truncated", "message": "It was cut."},
        {"code": "size_resampled", "message": "It was drawn at 64x64 and resampled to 256x256."},
    ]
    assert "warnings" not in at_work.caller.record(silent)


def test_a_ring_without_work_or_for_a_model_not_served_does_nothing(slot: MakeSlot) -> None:
    at_work = slot()
    other = at_work.caller.submit(model="other")

    at_work.runner.answer("m")
    at_work.runner.answer("other")

    assert at_work.caller.status(other) == "queued"
    assert at_work.engine.requests == []


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (GenerationFailed("the paint ran out"), "generation_failed", "the paint ran out"),
        (OutOfDeviceMemory(), "generation_failed", "The device has not enough memory for this picture."),
        (
            RuntimeError("bug with a private prompt"),
            "generation_failed",
            "The picture could not be generated.",
        ),
    ],
)
def test_a_job_that_cannot_be_drawn_fails_alone(
    slot: MakeSlot, error: Exception, code: str, message: str
) -> None:
    at_work = slot(error)
    first, second = at_work.caller.submit(), at_work.caller.submit()

    at_work.runner.answer("m")

    assert (at_work.caller.status(first), at_work.caller.status(second)) == ("failed", "succeeded")
    assert at_work.error(first) == {"code": code, "message": message}


def test_a_job_whose_params_are_of_a_later_version_is_left_for_a_newer_worker(slot: MakeSlot) -> None:
    at_work = slot()
    first, second = at_work.caller.submit(), at_work.caller.submit()
    at_work.caller.client.hset(
        at_work.caller.keys.job(first), "params", '{"prompt": "a", "seed": 1, "from": "the future"}'
    )

    # Were it given back to its place, this would never end.
    at_work.runner.answer("m")
    at_work.runner.answer("m")

    assert (at_work.caller.status(first), at_work.caller.status(second)) == ("queued", "succeeded")
    record = at_work.caller.record(first)
    assert (record["needs"], record["attempt"]) == (str(PARAMS_VERSION + 1), "0")
    (told,) = json.loads(record["history"])
    assert (told["outcome"], told["detail"]) == ("not_readable", "This worker is too old to read it.")
    client, prefix = at_work.caller.client, at_work.caller.keys.prefix
    newer = WorkerStore(client, JobSettings(), prefix, reads=PARAMS_VERSION + 1)
    assert [each.job_id for each in newer.claim("m", "new", want=1, alone=True).attempts] == [first]


@pytest.mark.parametrize("words", ["", "{", "[1]", '"prompt"', "null"])
def test_a_job_whose_params_no_version_could_read_fails_alone(slot: MakeSlot, words: str) -> None:
    at_work = slot()
    first, second = at_work.caller.submit(), at_work.caller.submit()
    at_work.caller.client.hset(at_work.caller.keys.job(first), "params", words)

    at_work.runner.answer("m")

    assert (at_work.caller.status(first), at_work.caller.status(second)) == ("failed", "succeeded")
    assert at_work.error(first) == {"code": "generation_failed", "message": UNREADABLE}


def test_a_job_that_was_cancelled_while_it_was_drawn_stays_cancelled(slot: MakeSlot) -> None:
    def cancelled(_: ImageRequest, held: Held) -> ImageResult:
        at_work.caller.cancel(held.attempt.job_id)
        held.stop_reason = "cancelled"
        raise AttemptCancelled

    at_work = slot(cancelled)
    job_id = at_work.caller.submit()

    at_work.runner.answer("m")

    assert at_work.caller.status(job_id) == "cancelled"
    assert at_work.error(job_id)["code"] == "job_cancelled"


def test_a_picture_that_comes_too_late_is_thrown_away(slot: MakeSlot) -> None:
    def late(request: ImageRequest, held: Held) -> ImageResult:
        at_work.caller.cancel(held.attempt.job_id)
        return drawn(request, held)

    at_work = slot(late)
    first, second = at_work.caller.submit(), at_work.caller.submit()

    at_work.runner.answer("m")

    assert (at_work.caller.status(first), at_work.caller.status(second)) == ("cancelled", "succeeded")
    assert at_work.images(first) == []
    assert list(at_work.caller.client.scan_iter(at_work.caller.keys.key("draft", "*"))) == []


def test_an_attempt_that_is_handed_back_is_not_counted(slot: MakeSlot) -> None:
    def draining(_: ImageRequest, __: Held) -> ImageResult:
        at_work.runner.draining.set()
        at_work.ledger.hand_back()
        raise AttemptCancelled

    at_work = slot(draining)
    job_id = at_work.caller.submit()

    at_work.runner.answer("m")

    record = at_work.caller.record(job_id)
    assert (record["status"], record["attempt"], record["losses"]) == ("queued", "0", "0")


def test_the_engine_is_told_which_job_is_low(slot: MakeSlot) -> None:
    at_work = slot()
    for low in (True, False):
        at_work.caller.submit(low=low)

    at_work.runner.answer("m")

    assert [request.low for request in at_work.engine.requests] == [False, True]


def test_a_low_job_that_makes_way_in_the_engine_is_queued_again_and_not_counted(slot: MakeSlot) -> None:
    def makes_way(_: ImageRequest, __: Held) -> ImageResult:
        at_work.caller.submit(job_id="other")
        raise MadeWay

    at_work = slot(makes_way)
    low = at_work.caller.submit(low=True)

    at_work.runner.answer("m")

    assert at_work.caller.ended() == [("other", "succeeded"), (low, "succeeded")]
    record = at_work.caller.record(low)
    assert (record["attempt"], record["losses"]) == ("1", "0")
    assert [line["outcome"] for line in json.loads(record["history"])] == ["handed_back", "succeeded"]


def test_a_draining_slot_takes_nothing(slot: MakeSlot) -> None:
    at_work = slot()
    job_id = at_work.caller.submit()
    at_work.runner.draining.set()

    at_work.runner.answer("m")

    assert at_work.caller.status(job_id) == "queued"


def test_a_job_that_lost_a_worker_runs_by_itself(slot: MakeSlot) -> None:
    def busy(request: ImageRequest, held: Held) -> ImageResult:
        at_work.runner.answer("m")  # another slot is rung while this one draws
        assert [each.attempt.job_id for each in at_work.ledger.all()] == [held.attempt.job_id]
        return drawn(request, held)

    at_work = slot(busy)
    first, second = at_work.caller.submit(), at_work.caller.submit()
    at_work.caller.client.hset(at_work.caller.keys.job(first), "losses", 1)

    at_work.runner.answer("m")

    assert (at_work.caller.status(first), at_work.caller.status(second)) == ("succeeded", "succeeded")
    assert [request.wording.words for request in at_work.engine.requests] == [
        f"prompt of {first}",
        f"prompt of {second}",
    ]


def test_another_slot_takes_the_next_job_meanwhile(slot: MakeSlot) -> None:
    def busy(request: ImageRequest, held: Held) -> ImageResult:
        at_work.runner.answer("m")
        return drawn(request, held)

    at_work = slot(busy)
    first, second = at_work.caller.submit(), at_work.caller.submit()

    at_work.runner.answer("m")

    assert at_work.caller.ended() == [(second, "succeeded"), (first, "succeeded")]


def test_a_picture_is_kept_while_the_store_is_away(prefix: str) -> None:
    server = fakeredis.FakeServer()

    def away_for_a_moment(request: ImageRequest, held: Held) -> ImageResult:
        server.connected = False
        threading.Timer(0.2, setattr, (server, "connected", True)).start()
        return drawn(request, held)

    at_work = Slot(FlaglessFakeRedis(server=server), prefix, away_for_a_moment)
    job_id = at_work.caller.submit()

    at_work.runner.answer("m")

    assert at_work.caller.status(job_id) == "succeeded"
    assert at_work.images(job_id) == [IMAGE + b"1"]


def test_a_picture_is_not_kept_for_ever(prefix: str) -> None:
    server = fakeredis.FakeServer()

    def gone(request: ImageRequest, held: Held) -> ImageResult:
        server.connected = False
        return drawn(request, held)

    at_work = Slot(FlaglessFakeRedis(server=server), prefix, gone, keep_result_s=0.2)
    job_id = at_work.caller.submit()

    at_work.runner.answer("m")

    server.connected = True
    assert at_work.caller.status(job_id) == "running"  # until its lease lapses
    assert len(at_work.ledger) == 0
