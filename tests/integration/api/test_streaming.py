"""``stream: true``: pictures and previews in OpenAI's events, to raw readers and to the official client."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import openai
import pytest

from shared.errors import StoreUnavailable
from shared.jobs.status import Status
from tests.http_caller import GENERATIONS, assert_error
from tests.integration.conftest import Serve, Service
from tests.sse import Event, Stream, streaming
from tests.waiting import wait_until
from worker.attempt import Attempt

PARTIAL = "image_generation.partial_image"
COMPLETED = "image_generation.completed"
BODY = {"prompt": "a tiny picture", "stream": True, "partial_images": 2, "seed": 5}


def stream(
    service: Service, headers: dict[str, str] | None = None, **fields: Any
) -> AbstractContextManager[Stream]:
    return streaming(service.caller.http, "POST", GENERATIONS, json={**BODY, **fields}, headers=headers)


def preview(service: Service, attempt: Attempt, image: int, partial: int) -> None:
    file = base64.b64encode(f"preview {image}.{partial}".encode())
    service.worker.store.preview(attempt, image=image, partial=partial, file=file)


def status_of(service: Service, job_id: str) -> str:
    return str(service.caller.job(job_id)["status"])


def test_previews_as_they_come_and_then_the_picture(service: Service) -> None:
    with stream(service, output_format="webp", size="64x128", quality="low") as events:
        assert events.response.headers["content-type"].startswith("text/event-stream")
        assert events.response.headers["cache-control"] == "no-store"
        attempt = service.worker.take()
        assert events.response.headers["x-job-id"] == attempt.job_id
        preview(service, attempt, 0, 0)
        first = events.next()
        preview(service, attempt, 0, 1)
        second = events.next()
        (image,) = service.worker.finish(attempt)
        (last,) = events.rest()

    about = {"size": "64x128", "quality": "low", "background": "opaque", "output_format": "webp", "index": 0}
    for each, partial in ((first, 0), (second, 1)):
        assert (each.name, each.id) == (PARTIAL, "")
        created_at = each.data.pop("created_at")
        assert isinstance(created_at, int)
        assert base64.b64decode(each.data.pop("b64_json")) == f"preview 0.{partial}".encode()
        assert each.data == {"type": PARTIAL, "partial_image_index": partial, **about}
    assert (last.name, last.id) == (COMPLETED, "")
    assert base64.b64decode(last.data.pop("b64_json")) == image
    usage = last.data.pop("usage")
    assert usage == service.caller.result(attempt.job_id).json()["usage"]
    assert last.data.pop("warnings") == []
    assert last.data == {"type": COMPLETED, "created_at": last.data["created_at"], **about}


def test_each_of_several_pictures_completes_and_their_usage_adds_up(service: Service) -> None:
    with stream(service, n=3, partial_images=1) as events:
        attempt = service.worker.take()
        for image in (2, 0, 1):
            preview(service, attempt, image, 0)
        images = service.worker.finish(attempt)
        told = events.rest()

    partials, completed = told[:3], told[3:]
    assert sorted(each.data["index"] for each in partials) == [0, 1, 2]
    assert {each.name for each in completed} == {COMPLETED}
    assert [base64.b64decode(each.data["b64_json"]) for each in completed] == images
    assert [each.data["index"] for each in completed] == [0, 1, 2]
    whole = service.caller.result(attempt.job_id).json()["usage"]
    for name in ("input_tokens", "output_tokens", "total_tokens"):
        assert sum(each.data["usage"][name] for each in completed) == whole[name]


def test_a_second_attempts_previews_are_not_sent_again(service: Service) -> None:
    with stream(service) as events:
        attempt = service.worker.take()
        preview(service, attempt, 0, 0)
        assert events.next().data["partial_image_index"] == 0
        service.worker.store.fail(attempt, code="worker_lost", message="m", again="retry")
        again = service.worker.take()
        preview(service, again, 0, 0)
        preview(service, again, 0, 1)
        assert events.next().data["partial_image_index"] == 1
        service.worker.finish(again)
        assert [each.name for each in events] == [COMPLETED]


def test_a_retry_attaches_and_gets_what_it_missed(service: Service) -> None:
    with stream(service) as first:
        attempt = service.worker.take()
        preview(service, attempt, 0, 0)
        first.next()
    with stream(service, {"x-stainless-retry-count": "1"}) as second:
        assert second.response.headers["x-job-id"] == attempt.job_id
        assert second.next().data["partial_image_index"] == 0
        service.worker.finish(attempt)
        assert second.next().name == COMPLETED
    assert status_of(service, attempt.job_id) == Status.SUCCEEDED


def test_without_previews_there_is_one_event_a_picture(service: Service) -> None:
    with service.worker.serving(), stream(service, partial_images=0) as events:
        assert [each.name for each in events] == [COMPLETED]
    assert service.api.resources.waiting.followers.jobs == 0


def test_a_stream_on_which_nothing_happens_says_so(serve: Serve) -> None:
    service = serve(api={"heartbeat_s": 0.1})
    with stream(service) as events:
        attempt = service.worker.take()
        assert [events.comment() for _ in range(3)] == ["still here"] * 3
        service.worker.finish(attempt)
        assert events.next().name == COMPLETED


def test_a_failure_on_the_way_is_an_event(service: Service) -> None:
    with stream(service) as events:
        service.worker.fail(service.worker.take())
        (error,) = events.rest()

    assert error.name == "error"
    assert error.data == {
        "type": "error",
        "error": {
            "message": "the paint ran out",
            "type": "server_error",
            "param": None,
            "code": "generation_failed",
        },
    }


def test_what_is_wrong_before_there_is_a_job_is_an_ordinary_error(service: Service) -> None:
    answer = service.caller.generate(stream=True, partial_images=4)
    assert_error(answer, 422, "invalid_value", param="partial_images")
    assert_error(service.caller.generate(stream=True, model="none"), 404, "model_not_found", param="model")
    assert_error(service.caller.generate(stream="yes"), 422, "invalid_value", param="stream")


def test_a_stream_is_held_no_longer_than_a_call_and_its_job_goes_on(serve: Serve) -> None:
    service = serve(api={"sync_timeout_s": 0.3}, jobs={"abandon_grace_s": 0.1, "hold_renew_s": 0.1})
    with stream(service) as events:
        attempt = service.worker.take()
        (error,) = events.rest()

    assert error.data["error"]["code"] == "timeout"
    service.worker.finish(attempt)
    assert status_of(service, attempt.job_id) == Status.SUCCEEDED


def test_previews_are_drawn_only_for_those_who_can_see_them(service: Service) -> None:
    held = service.caller.later(partial_images=3)
    attempt = service.worker.take()
    service.worker.finish(attempt)
    assert held.result().status_code == 200
    followed = service.caller.submit(partial_images=3)
    service.worker.do()

    assert service.worker.drawn[attempt.job_id].partial_images == 0
    assert service.worker.drawn[followed].partial_images == 3


def test_a_preference_makes_no_other_answer_of_a_stream(service: Service) -> None:
    with service.worker.serving(), stream(service, {"Prefer": "respond-async"}) as events:
        assert events.response.status_code == 200
        assert events.next(COMPLETED).data["b64_json"]


def test_whoever_hangs_up_on_a_stream_leaves_nothing_behind(serve: Serve) -> None:
    service = serve(jobs={"abandon_grace_s": 0.2, "hold_renew_s": 0.1})
    with stream(service) as events:
        attempt = service.worker.take()
        preview(service, attempt, 0, 0)
        events.next()
        assert service.api.resources.waiting.followers.jobs == 1

    wait_until(lambda: service.api.resources.waiting.followers.jobs == 0, what="the subscription's end")
    wait_until(
        lambda: service.waiting == service.api.resources.waiting.presence.jobs == 0, what="the call's end"
    )
    wait_until(lambda: service.worker.client.pubsub_channels() == [], what="the channel's end")
    wait_until(lambda: reaped(service, attempt.job_id) == Status.CANCELLED, what="the job's end")


def reaped(service: Service, job_id: str) -> str:
    service.worker.store.reap()
    return status_of(service, job_id)


@pytest.mark.parametrize("forged", ["nonsense", "[]", "7", '{"step": 1}', '{"attempt": "a", "image": []}'])
def test_a_forged_message_stops_nobody(service: Service, forged: str) -> None:
    with stream(service, partial_images=1) as events:
        attempt = service.worker.take()
        wait_until(service.worker.client.pubsub_channels, what="the subscription")
        service.worker.client.publish(service.worker.store.keys.events(attempt.job_id), forged)
        preview(service, attempt, 0, 0)
        assert events.next().name == PARTIAL
        service.worker.finish(attempt)
        assert events.next().name == COMPLETED


def test_a_stream_that_ends_with_an_error_holds_its_job_no_longer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr("api.waiting.patience.STORE_GAP_S", 0.0)
    with stream(service) as events:
        attempt = service.worker.take()
        monkeypatch.setattr(service.api.resources.jobs, "read", away)
        service.worker.finish(attempt)
        (error,) = events.rest()

    assert error.data["error"]["code"] == "store_unavailable"
    assert service.api.resources.waiting.presence.jobs == 0


def test_a_stream_that_cannot_say_what_it_is_of_is_refused_and_holds_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stream of an earlier job says in its head is read first."""

    async def away(*_: object) -> None:
        raise StoreUnavailable

    key = {"Idempotency-Key": "one"}
    monkeypatch.setattr("api.waiting.patience.STORE_GAP_S", 0.0)
    with stream(service, key):
        monkeypatch.setattr(service.api.resources.jobs, "read", away)
        answer = service.caller.generate(key, **BODY)
        assert service.api.resources.waiting.presence.jobs == 1

    assert_error(answer, 503, "store_unavailable", kind="server_error")
    wait_until(lambda: service.api.resources.waiting.presence.jobs == 0, what="nobody who waits")


def test_on_disconnect_cancel_skips_the_grace_and_continue_keeps_the_job(service: Service) -> None:
    with stream(service, {"x-on-disconnect": "cancel"}, seed=1):
        cancelled = service.worker.take()
    wait_until(lambda: status_of(service, cancelled.job_id) == Status.CANCELLED, what="the cancellation")
    with stream(service, {"x-on-disconnect": "continue"}, seed=2):
        kept = service.worker.take()
    service.worker.finish(kept)

    assert status_of(service, kept.job_id) == Status.SUCCEEDED


def test_many_follow_one_job_and_each_its_own(service: Service) -> None:
    def watch(seed: int) -> list[Event]:
        with stream(service, seed=seed, partial_images=1) as events:
            return events.rest()

    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(watch, seed) for seed in range(8)]
        for _ in range(8):
            attempt = service.worker.take()
            preview(service, attempt, 0, 0)
            service.worker.finish(attempt)
        told = [call.result() for call in calls]

    for events in told:
        assert [each.name for each in events] == [PARTIAL, COMPLETED]
    wait_until(lambda: service.worker.client.pubsub_channels() == [], what="every channel's end")


# --- the official client


@pytest.fixture
def client(service: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="key", base_url=f"{service.api.url}/v1", max_retries=0) as client:
        yield client


def test_the_official_client_reads_the_stream(service: Service, client: openai.OpenAI) -> None:
    events = client.images.generate(prompt="a tiny picture", stream=True, partial_images=2)
    attempt = service.worker.take()
    for partial in range(2):
        preview(service, attempt, 0, partial)
        event = next(events)
        assert event.type == PARTIAL
        assert event.partial_image_index == partial
        assert base64.b64decode(event.b64_json) == f"preview 0.{partial}".encode()
    (image,) = service.worker.finish(attempt)
    (completed,) = events

    assert completed.type == COMPLETED
    assert base64.b64decode(completed.b64_json) == image
    assert completed.usage.total_tokens > 0
    assert completed.size == "512x512"


def test_the_official_client_survives_heartbeats_and_raises_what_went_wrong(serve: Serve) -> None:
    service = serve(api={"heartbeat_s": 0.05})
    with openai.OpenAI(api_key="key", base_url=f"{service.api.url}/v1", max_retries=0) as client:
        events = client.images.generate(prompt="a tiny picture", stream=True)
        attempt = service.worker.take()
        wait_until(lambda: service.waiting, what="the stream")
        with stream(service) as another:  # as long as it takes to see some heartbeats
            other = service.worker.take()
            assert [another.comment() for _ in range(5)]
            service.worker.finish(other)
        service.worker.fail(attempt)
        with pytest.raises(openai.APIError, match="the paint ran out") as raised:
            list(events)

    assert raised.value.code == "generation_failed"


async def test_the_official_async_client_reads_the_stream(service: Service) -> None:
    async with openai.AsyncOpenAI(api_key="key", base_url=f"{service.api.url}/v1", max_retries=0) as client:
        with service.worker.serving():
            events = await client.images.generate(prompt="a tiny picture", stream=True, n=2)
            completed = [event async for event in events]

    assert [event.type for event in completed] == [COMPLETED] * 2
