"""The same call again: replayed under its Idempotency-Key, or attached by an SDK's retry."""

import pytest

from tests.http_caller import assert_error
from tests.integration.conftest import Service

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
