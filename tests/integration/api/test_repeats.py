"""The same call again: replayed under its Idempotency-Key, or attached by an SDK's retry."""

import json
import socket

import pytest

from tests.http_caller import GENERATIONS, Response, assert_error
from tests.integration.conftest import Serve, Service
from tests.waiting import wait_until

KEY = {"Idempotency-Key": "order 4711"}
RETRY = {"x-stainless-retry-count": "1"}


def test_a_key_replays_the_same_job_while_it_waits(service: Service) -> None:
    first = service.caller.submit(KEY)

    assert service.caller.submit(KEY) == first
    assert service.worker.do() == first
    assert service.worker.claim() is None


def test_a_key_replays_the_same_bytes_when_it_has_ended(automatic: Service) -> None:
    caller = automatic.another_caller("replaying")
    first, second = caller.generate(KEY), caller.generate(KEY)

    assert first.content == second.content
    assert first.headers["x-job-id"] == second.headers["x-job-id"]


def test_two_calls_at_once_with_one_key_are_one_job(service: Service) -> None:
    calls = [service.caller.later(KEY) for _ in range(6)]
    job_id = service.worker.do()

    answers = [call.result(timeout=5) for call in calls]
    assert {answer.headers["x-job-id"] for answer in answers} == {job_id}
    assert len({answer.content for answer in answers}) == 1
    assert service.worker.claim() is None


def test_a_key_with_another_body_is_a_422(service: Service) -> None:
    service.caller.submit(KEY)

    assert_error(service.caller.generate(KEY, prompt="another"), 422, "idempotency_key_reused")
    assert_error(service.caller.generate(KEY, n=2), 422, "idempotency_key_reused")


def test_another_spelling_of_the_same_request_is_the_same_body(service: Service) -> None:
    first = service.caller.submit(KEY, prompt="swan", size="auto", n=1, style=None)

    assert service.caller.submit(KEY, n=1.0, prompt="  swan ") == first


def test_another_delivery_is_the_same_job(service: Service) -> None:
    job_id = service.caller.submit(KEY)
    call = service.caller.later(KEY)
    service.worker.do()

    assert call.result(timeout=5).headers["x-job-id"] == job_id


def test_a_key_is_its_owners_own(service: Service) -> None:
    first = service.caller.submit(KEY)

    assert service.another_caller("another key").submit(KEY, prompt="another") != first


def test_another_key_is_another_job(service: Service) -> None:
    assert service.caller.submit(KEY) != service.caller.submit({"Idempotency-Key": "order 4712"})


def test_an_empty_key_is_none(service: Service) -> None:
    empty = {"Idempotency-Key": ""}

    assert service.caller.submit(empty) != service.caller.submit(empty)


def test_a_failed_job_is_replayed_too(service: Service) -> None:
    job_id = service.caller.submit(KEY)
    service.worker.fail(service.worker.take(), "the paint ran out")

    answer = service.caller.generate(KEY)
    assert assert_error(answer, 500, "generation_failed", kind="server_error") == "the paint ran out"
    assert answer.headers["location"].endswith(job_id)


def test_a_key_replays_where_no_worker_lives_any_more(service: Service) -> None:
    job_id = service.caller.submit(KEY, model="random")
    service.worker.do()
    service.worker.client.delete(service.key("serving", "tiny"), service.key("serving", "plain"))

    assert service.caller.generate(KEY, model="random").headers["x-job-id"] == job_id


def test_a_key_has_at_most_255_characters(automatic: Service) -> None:
    assert automatic.caller.generate({"Idempotency-Key": "k" * 255}).status_code == 200
    answer = automatic.caller.generate({"Idempotency-Key": "k" * 256})

    assert_error(answer, 422, "invalid_value", param="Idempotency-Key")


def test_without_a_key_the_same_body_is_another_job(service: Service) -> None:
    assert service.caller.submit() != service.caller.submit()


def test_a_retry_of_the_sdk_attaches_to_the_live_job(service: Service) -> None:
    first = service.caller.later(prompt="swan")
    attempt = service.worker.take()
    retry = service.caller.later(RETRY, prompt="swan")
    twice = service.caller.submit({"x-stainless-retry-count": "2"}, prompt="swan")
    service.worker.finish(attempt)

    assert twice == attempt.job_id
    assert first.result(timeout=5).content == retry.result(timeout=5).content
    assert service.worker.claim() is None


@pytest.mark.parametrize("change", [{"prompt": "goose"}, {"n": 2}, {"seed": 1}, {"user": "anna"}])
def test_a_retry_with_another_body_is_another_job(service: Service, change: dict[str, object]) -> None:
    first = service.caller.submit(prompt="swan")

    assert service.caller.submit(RETRY, **{"prompt": "swan", **change}) != first


def test_a_retry_attaches_to_no_other_owners_job(service: Service) -> None:
    first = service.caller.submit()

    assert service.another_caller("another key").submit(RETRY) != first


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_a_retry_does_not_attach_to_a_job_that_ended_without_a_picture(service: Service, end: str) -> None:
    first = service.caller.submit()
    if end == "cancelled":
        service.caller.cancel(first)
    else:
        service.worker.fail(service.worker.take())

    assert service.caller.submit(RETRY) != first


@pytest.mark.parametrize("count", ["0", "00", "", "-1", "one", "²", "1.5"])
def test_a_first_try_is_no_retry(service: Service, count: str) -> None:
    first = service.caller.submit()

    answer = service.caller.generate(
        {"Prefer": "respond-async", "x-stainless-retry-count": count.encode("latin-1")}
    )  # type: ignore[dict-item]
    assert answer.status_code == 202
    assert answer.json()["id"] != first


def test_a_retry_count_of_any_length_is_read(service: Service) -> None:
    first = service.caller.submit()

    assert service.caller.submit({"x-stainless-retry-count": "9" * 5000}) == first


# --- a retry without a key: never a picture that somebody has ---


def waits(service: Service, calls: int) -> None:
    wait_until(lambda: service.waiting == calls, what=f"{calls} held calls")


def job_of(answer: Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers["x-job-id"]


def test_a_call_that_was_refused_and_tried_again_gets_a_picture_of_its_own(serve: Serve) -> None:
    service = serve(jobs={"max_queued": 2})
    calls = [service.caller.later(prompt="swan") for _ in range(2)]
    waits(service, 2)
    refused = service.caller.generate(prompt="swan")
    assert_error(refused, 503, "queue_full", kind="server_error")
    drawn = [service.worker.do(), service.worker.do()]
    assert sorted(job_of(call.result(timeout=5)) for call in calls) == sorted(drawn)

    retry = service.caller.later(RETRY, prompt="swan")

    assert service.worker.do() not in drawn
    assert job_of(retry.result(timeout=5)) not in drawn


@pytest.mark.parametrize(
    ("sections", "status", "code"),
    [
        ({"jobs": {"max_queued": 1}}, 503, "queue_full"),
        ({"jobs": {"max_unfinished_per_owner": 1}}, 429, "too_many_jobs"),
        ({"api": {"requests_per_minute": 1}}, 429, "rate_limit_exceeded"),
    ],
)
def test_a_call_that_was_refused_shares_no_picture_with_one_that_is_held(
    serve: Serve, sections: dict[str, dict[str, int]], status: int, code: str
) -> None:
    service = serve(**sections)
    other = service.caller.later(prompt="swan")
    waits(service, 1)
    kind = "rate_limit_error" if status == 429 else "server_error"
    assert_error(service.caller.generate(prompt="swan"), status, code, kind=kind)

    attempt = service.worker.take()
    if code != "queue_full":
        # Refused again, and not attached.
        assert_error(service.caller.generate(RETRY, prompt="swan"), status, code, kind=kind)
        service.worker.finish(attempt)
        assert job_of(other.result(timeout=5)) == attempt.job_id
        return
    retry = service.caller.later(RETRY, prompt="swan")
    own = service.worker.do()
    service.worker.finish(attempt)

    assert job_of(other.result(timeout=5)) == attempt.job_id
    assert job_of(retry.result(timeout=5)) == own


def test_a_retry_never_gets_a_picture_that_was_delivered(service: Service) -> None:
    call = service.caller.later(prompt="swan")
    first = service.worker.do()
    assert job_of(call.result(timeout=5)) == first

    retry = service.caller.later(RETRY, prompt="swan")

    assert service.worker.do() != first
    assert job_of(retry.result(timeout=5)) != first


def test_a_retry_never_gets_a_picture_that_was_streamed(service: Service) -> None:
    call = service.caller.later(prompt="swan", stream=True)
    first = service.worker.do()
    assert call.result(timeout=5).text.count("image_generation.completed") == 2

    service.caller.later(RETRY, prompt="swan", stream=True)

    assert service.worker.do() != first


class Raw:
    """A caller who may stop reading, and may hang up: a bare connection."""

    def __init__(self, service: Service, **fields: object) -> None:
        host, port = service.api.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        service.stack.callback(self.socket.close)
        body = json.dumps(fields).encode()
        head = f"POST {GENERATIONS} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer key\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)

    def hang_up(self) -> None:
        # At once, whatever is still to be read.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def holders(service: Service, job_id: str) -> int:
    held: int = service.worker.client.zcard(service.key("holders", job_id))
    return held


def test_a_picture_that_was_drawn_while_nobody_was_left_is_the_retrys(service: Service) -> None:
    caller = Raw(service, prompt="swan")
    attempt = service.worker.take()
    waits(service, 1)
    caller.hang_up()
    wait_until(lambda: holders(service, attempt.job_id) == 0, what="the hang-up to be noticed")
    service.worker.finish(attempt)

    assert job_of(service.caller.generate(RETRY, prompt="swan")) == attempt.job_id
    assert holders(service, attempt.job_id) == 0


def finish_large(service: Service, size_bytes: int) -> str:
    attempt = service.worker.take()
    service.worker.store.save_draft(attempt, [b"A" * size_bytes])
    service.worker.store.finish(attempt, images=1, usage={}, size_bytes=size_bytes)
    return attempt.job_id


LARGE = 16 * 1024 * 1024  # more than the buffers of a connection hold


def test_a_picture_of_which_only_a_part_arrived_is_the_retrys(service: Service) -> None:
    caller = Raw(service, prompt="swan")
    waits(service, 1)
    job_id = finish_large(service, LARGE)
    assert caller.socket.recv(100).startswith(b"HTTP/1.1 200")
    caller.hang_up()
    wait_until(lambda: holders(service, job_id) == 0, what="the hang-up to be noticed")

    retry = service.caller.generate(RETRY, prompt="swan")

    assert job_of(retry) == job_id
    assert len(retry.content) > LARGE


def test_a_picture_that_is_on_its_way_is_none_for_a_call_that_was_refused(serve: Serve) -> None:
    service = serve(jobs={"max_queued": 1})
    caller = Raw(service, prompt="swan")
    waits(service, 1)
    refused = service.caller.generate(prompt="swan")
    assert_error(refused, 503, "queue_full", kind="server_error")
    job_id = finish_large(service, LARGE)
    assert caller.socket.recv(100).startswith(b"HTTP/1.1 200")

    retry = service.caller.later(RETRY, prompt="swan")
    assert service.worker.do() != job_id
    assert job_of(retry.result(timeout=5)) != job_id

    received = 0
    while received < LARGE:
        received += len(caller.socket.recv(1024 * 1024))
    wait_until(lambda: holders(service, job_id) == 0, what="the call to be answered")


def test_of_two_calls_with_one_body_the_retry_gets_the_one_that_was_given_up(service: Service) -> None:
    lost = Raw(service, prompt="swan")
    waits(service, 1)
    other = service.caller.later(prompt="swan")
    waits(service, 2)
    lost.hang_up()
    waits(service, 1)

    retry = service.caller.later(RETRY, prompt="swan")
    waits(service, 2)
    drawn = {service.worker.do(), service.worker.do()}

    assert {job_of(retry.result(timeout=5)), job_of(other.result(timeout=5))} == drawn
    assert service.worker.claim() is None


def test_a_retry_with_an_idempotency_key_goes_by_the_key_alone(service: Service) -> None:
    first = service.caller.submit(prompt="swan")

    assert service.caller.submit({**RETRY, **KEY}, prompt="swan") != first
