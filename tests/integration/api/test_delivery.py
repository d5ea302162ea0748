"""One job, and the ways its result travels: held, preferred otherwise, or too late."""

import time

import pytest

from tests.http_caller import JOBS, assert_error
from tests.integration.conftest import Serve, Service
from tests.waiting import wait_until


def test_a_call_is_held_until_its_job_ends(service: Service) -> None:
    call = service.caller.later()
    attempt = service.worker.take()
    assert service.caller.job(attempt.job_id)["status"] == "running"
    assert not call.done()

    service.worker.finish(attempt)

    answer = call.result(timeout=30)
    assert answer.status_code == 200
    assert answer.headers["x-job-id"] == attempt.job_id
    assert not {"location", "retry-after", "preference-applied"} & set(answer.headers)


def test_a_held_call_is_woken_at_once(service: Service) -> None:
    call = service.caller.later()
    attempt = service.worker.take()
    wait_until(lambda: service.caller.job(attempt.job_id)["status"] == "running")

    finished_at = time.monotonic()
    service.worker.finish(attempt)
    call.result(timeout=30)

    assert time.monotonic() - finished_at < 2.5  # below the sweep's 3 s: the stream woke it


@pytest.mark.parametrize("prefer", ["", "return=minimal", "wait=soon", "wait=-1", "handling=lenient", "wait"])
def test_a_caller_who_asks_for_neither_never_gets_a_202(service: Service, prefer: str) -> None:
    call = service.caller.later({"Prefer": prefer})
    job_id = service.worker.do()

    answer = call.result(timeout=30)
    assert (answer.status_code, answer.headers["x-job-id"]) == (200, job_id)
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("prefer", ["respond-async", "Respond-Async", "respond-async; x=1, return=minimal"])
def test_respond_async_is_a_202_with_the_job_at_once(service: Service, prefer: str) -> None:
    answer = service.caller.generate({"Prefer": prefer})

    job_id = answer.json()["id"]
    assert answer.status_code == 202
    assert answer.json() == service.caller.job(job_id)
    assert answer.json()["status"] == "queued"
    assert answer.headers["location"] == f"{JOBS}/{job_id}"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.headers["x-job-id"] == job_id


def test_a_wait_that_is_long_enough_is_a_200(service: Service) -> None:
    call = service.caller.later({"Prefer": "wait=15"})
    service.worker.do()

    answer = call.result(timeout=30)
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=15")
    assert set(answer.json()) == {"created", "data", "usage"}


def test_a_wait_that_is_too_short_becomes_a_202(service: Service) -> None:
    started = time.monotonic()
    answer = service.caller.generate({"Prefer": "wait=1"})
    waited_s = time.monotonic() - started

    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert 1.0 <= waited_s < 10
    assert answer.headers["location"] == f"{JOBS}/{answer.json()['id']}"
    assert answer.headers["preference-applied"] == "wait=1"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_no_wait_at_all_becomes_a_202(service: Service) -> None:
    answer = service.caller.generate({"Prefer": "wait=0"})

    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=0")


def test_both_preferences_together_wait_and_then_respond(service: Service) -> None:
    call = service.caller.later({"Prefer": "respond-async, wait=15"})
    service.worker.do()

    answer = call.result(timeout=30)
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "respond-async, wait=15")


def test_a_call_held_too_long_is_a_504_and_its_job_goes_on(serve: Serve) -> None:
    service = serve(api={"sync_timeout_s": 0.3})
    started = time.monotonic()
    answer = service.caller.generate(prompt="Black Swan", seed=1)

    assert 0.3 <= time.monotonic() - started < 10
    assert_error(answer, 504, "timeout", kind="server_error")
    assert answer.headers["x-should-retry"] == "false"
    location = answer.headers["location"]
    assert location.startswith(f"{JOBS}/")
    assert service.caller.http.get(location).json()["status"] == "queued"

    service.worker.do()
    result = service.caller.http.get(f"{location}/result")
    assert (result.status_code, len(result.json()["data"])) == (200, 1)


def test_a_wait_is_never_longer_than_the_service_holds_calls(serve: Serve) -> None:
    service = serve(api={"sync_timeout_s": 0.3})

    assert service.caller.generate({"Prefer": "wait=100"}).status_code == 202


def test_a_job_that_fails_answers_its_held_call_with_its_own_error(service: Service) -> None:
    call = service.caller.later()
    attempt = service.worker.take()
    service.worker.fail(attempt, "the paint ran out")

    answer = call.result(timeout=30)
    assert assert_error(answer, 500, "generation_failed", kind="server_error") == "the paint ran out"
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["location"] == f"{JOBS}/{attempt.job_id}"
    assert service.caller.result(attempt.job_id).content == answer.content


def test_a_job_whose_deadline_passes_is_a_504(serve: Serve) -> None:
    service = serve(jobs={"deadline_s": 0.2, "reap_s": 0.01})
    call = service.caller.later()
    wait_until(lambda: (reaped := service.worker.store.reap()) and reaped.expired, what="the job's expiry")

    answer = call.result(timeout=30)
    assert_error(answer, 504, "deadline_exceeded", kind="server_error")
    assert answer.headers["x-should-retry"] == "false"


def test_a_job_whose_workers_were_all_lost_is_a_500(serve: Serve) -> None:
    service = serve(jobs={"lease_s": 0.05, "heartbeat_s": 0.01, "reap_s": 0.01, "max_attempts": 1})
    call = service.caller.later()
    service.worker.take()
    wait_until(lambda: (reaped := service.worker.store.reap()) and reaped.lost, what="the worker's loss")

    assert_error(call.result(timeout=30), 500, "worker_lost", kind="server_error")


def test_a_cancelled_job_ends_its_held_call(service: Service) -> None:
    call = service.caller.later()
    attempt = service.worker.take()
    service.caller.cancel(attempt.job_id)

    answer = call.result(timeout=30)
    assert_error(answer, 409, "job_cancelled")
    assert answer.headers["x-should-retry"] == "false"


def test_many_held_calls_each_get_their_own_picture(service: Service) -> None:
    calls = {n: service.caller.later(prompt=f"picture {n}", seed=n) for n in range(12)}
    with service.worker.serving():
        answers = {n: call.result(timeout=30) for n, call in calls.items()}

    for n, answer in answers.items():
        assert service.worker.drawn[answer.headers["x-job-id"]].prompt == f"picture {n}"
        assert answer.content == service.caller.result(answer.headers["x-job-id"]).content


def test_a_job_can_be_awaited_by_many(service: Service) -> None:
    job_id = service.caller.submit()
    waits = [service.caller.get_later(f"{JOBS}/{job_id}", {"Prefer": "wait=15"}) for _ in range(5)]
    wait_until(lambda: service.waiting == 5, what="five waiting calls")

    service.worker.take()

    assert {wait.result(timeout=30).json()["status"] for wait in waits} == {"running"}
