"""What holds for every response: an id, JSON errors of one shape, and the methods of a path."""

import pytest

from tests.http_caller import GENERATIONS, JOBS, Response, assert_error
from tests.integration.conftest import Service

NOBODY = "0" * 32


def ask(service: Service, method: str, path: str, **more: object) -> Response:
    return service.caller.http.request(method, path, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", GENERATIONS, 415),
        ("GET", GENERATIONS, 405),
        ("GET", f"{JOBS}/{NOBODY}", 404),
        ("GET", f"{JOBS}/nope", 422),
        ("GET", JOBS, 200),
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models/nope", 404),
        ("GET", "/nope", 404),
        ("POST", "/nope", 404),
        ("POST", "/v1/models", 405),
        ("DELETE", "/healthz", 405),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
        ("GET", "/", 200),
        ("GET", f"{JOBS}/", 404),
    ],
)
def test_every_response_has_a_request_id(automatic: Service, method: str, path: str, status: int) -> None:
    answers = [ask(automatic, method, path) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [status, status]
    first, second = (answer.headers["x-request-id"] for answer in answers)
    assert first != second
    assert first.startswith("req_")


def test_a_callers_own_request_id_is_kept(automatic: Service) -> None:
    answer = automatic.caller.generate({"x-request-id": "trace-1.2:3_4"})

    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "trace-1.2:3_4")
    assert (
        automatic.worker.client.hget(automatic.key("job", answer.headers["x-job-id"]), "request_id")
        == b"trace-1.2:3_4"
    )


@pytest.mark.parametrize("given", ["", "with space", "x" * 129, "{}", "a,b", '"quoted"'])
def test_a_request_id_that_is_no_plain_word_is_replaced(automatic: Service, given: str) -> None:
    answer = ask(automatic, "GET", "/healthz", headers={"x-request-id": given})

    assert answer.headers["x-request-id"].startswith("req_")


def test_an_unknown_path_is_a_404_in_our_shape(automatic: Service) -> None:
    assert_error(ask(automatic, "GET", "/v1/images/nothing"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", GENERATIONS, "POST"),
        ("DELETE", GENERATIONS, "POST"),
        ("POST", JOBS, "GET, HEAD"),
        ("POST", f"{JOBS}/{NOBODY}", "GET, HEAD, DELETE"),
        ("PATCH", f"{JOBS}/{NOBODY}", "GET, HEAD, DELETE"),
        ("DELETE", f"{JOBS}/{NOBODY}/result", "GET, HEAD"),
        ("PUT", "/v1/models", "GET, HEAD"),
        ("POST", "/v1/models/tiny", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/readyz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_a_405_that_names_every_right_one(
    automatic: Service, method: str, path: str, allowed: str
) -> None:
    answer = ask(automatic, method, path)

    assert_error(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


def test_a_bug_is_a_500_in_our_shape_and_the_process_goes_on(service: Service) -> None:
    job_id = service.caller.submit()
    service.worker.client.hset(service.key("job", job_id), "status", "a status that does not exist")

    answer = ask(service, "GET", f"{JOBS}/{job_id}", headers={"x-request-id": "the-crash"})

    message = assert_error(answer, 500, "internal_error", kind="server_error")
    assert "does not exist" not in message
    assert answer.headers["x-request-id"] == "the-crash"
    assert service.caller.submit()
