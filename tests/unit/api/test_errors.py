"""Every error has a status, a body of four members, and the headers that decide about retries."""

import json
from collections.abc import Iterator

import pytest

from api.errors import JOB_ERRORS, WIRE, error_response, job_error, wire
from shared import errors as e
from shared.jobs.scripts import ERRORS as SCRIPT_ERRORS

CONTRACT = [
    (e.UnsupportedValue, 400, "unsupported_value"),
    (e.UnsupportedParameter, 400, "unsupported_parameter"),
    (e.ModelNotFound, 404, "model_not_found"),
    (e.JobNotFound, 404, "job_not_found"),
    (e.JobNotFinished, 409, "job_not_finished"),
    (e.ResultExpired, 410, "result_expired"),
    (e.BodyTooLarge, 413, "body_too_large"),
    (e.NotJson, 415, "not_json"),
    (e.InvalidField, 422, "invalid_value"),
    (e.IdempotencyMismatch, 422, "idempotency_key_reused"),
    (e.TooManyJobs, 429, "too_many_jobs"),
    (e.GenerationFailed, 500, "generation_failed"),
    (e.DarkroomError, 500, "internal_error"),
    (e.QueueFull, 503, "queue_full"),
    (e.NoWorker, 503, "no_worker"),
    (e.StoreUnavailable, 503, "store_unavailable"),
    (e.HeldTooLong, 504, "timeout"),
]


def tree(root: type[e.DarkroomError]) -> Iterator[type[e.DarkroomError]]:
    """Every error that can come to the API; those of the command line are imported by its own tests only."""
    yield root
    for child in root.__subclasses__():
        if child.__module__.startswith("shared."):
            yield from tree(child)


@pytest.mark.parametrize(("error", "status", "code"), CONTRACT)
def test_the_contracts_errors_have_its_statuses_and_codes(
    error: type[e.DarkroomError], status: int, code: str
) -> None:
    assert (wire(error).status, error.code) == (status, code)


def test_every_error_can_be_answered_with() -> None:
    for error in tree(e.DarkroomError):
        answer = error_response(error(param="field"))
        body = json.loads(bytes(answer.body))

        assert 400 <= answer.status_code < 600
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert (body["error"]["param"], body["error"]["code"]) == ("field", error.code)
        assert ("detail" in body) == (answer.status_code == 422)


def test_an_error_without_a_line_of_its_own_has_its_parents() -> None:
    assert e.WaitTooLong not in WIRE
    assert wire(e.WaitTooLong) is WIRE[e.Refused]


@pytest.mark.parametrize(
    ("given", "sent"), [(None, "1"), (-5, "1"), (0, "1"), (1, "1"), (17, "17"), (60, "60"), (10**9, "60")]
)
def test_a_refusal_says_when_to_come_back_within_a_minute(given: int | None, sent: str) -> None:
    assert error_response(e.QueueFull(retry_after_s=given)).headers["retry-after"] == sent


@pytest.mark.parametrize("error", [e.GenerationFailed, e.HeldTooLong, e.DeadlineExceeded, e.JobCancelled])
def test_what_a_retry_cannot_help_says_so(error: type[e.DarkroomError]) -> None:
    answer = error_response(error(job_id="abc"))

    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["location"] == "/v1/images/jobs/abc"
    assert "retry-after" not in answer.headers


def test_every_refusal_of_a_script_has_an_answer() -> None:
    refusals = [error for error in SCRIPT_ERRORS.values() if issubclass(error, (e.RequestError, e.Refused))]

    assert all(wire(error).status != 500 for error in refusals)


@pytest.mark.parametrize("code", JOB_ERRORS)
def test_a_jobs_recorded_error_comes_back_as_itself(code: str) -> None:
    error = job_error({"code": code, "message": "why"}, "abc")

    assert (error.code, error.message, error.job_id) == (code, "why", "abc")


@pytest.mark.parametrize("recorded", [None, {}, {"code": "from the future", "message": "why"}])
def test_a_recorded_error_that_nobody_knows_is_a_failed_generation(recorded: dict[str, str] | None) -> None:
    error = job_error(recorded, "abc")

    assert error.code == "generation_failed"
    assert error.message
