"""HEAD wherever there is GET: the same status and headers, no body, and nothing that changes."""

import time
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from tests.http_caller import GENERATIONS, JOBS, HttpCaller, Response
from tests.integration.api.test_every_route import ROWS, Keyed, keyed, keyed_service
from tests.integration.conftest import Service
from tests.waiting import wait_until

__all__ = ["keyed", "keyed_service"]  # fixtures

GET: Final = [path for method, path in ROWS if method == "GET"]
# What is another each time, and how a body is framed whose length nobody knows.
VARYING: Final = {"date", "x-request-id", "transfer-encoding"}
# They tell of the requests before.
COUNTING: Final = {"/metrics", "/v1/operator"}


def headers(answer: Response, path: str) -> dict[str, str]:
    varying = VARYING | ({"content-length"} if path in COUNTING else set())
    return {name: value for name, value in answer.headers.items() if name not in varying}


def head(caller: HttpCaller, path: str, job_id: str) -> Response:
    """Ask a row of the table for GET with HEAD."""
    http = SimpleNamespace(get=caller.http.head, request=lambda _, path: caller.http.head(path))
    return ROWS["GET", path].ask(cast("HttpCaller", SimpleNamespace(http=http)), job_id)


@pytest.mark.parametrize("path", GET)
@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_head_says_what_get_says_and_changes_nothing(keyed: Keyed, path: str, status: str) -> None:
    job_id = keyed.owner.submit()
    worker = keyed.service.worker
    worker.do() if status == "succeeded" else worker.fail(worker.take())
    before = keyed.state()

    answer = head(keyed.owner, path, job_id)

    assert answer.content == b""
    assert keyed.state() == before
    got = ROWS["GET", path].ask(keyed.owner, job_id)
    assert answer.status_code == got.status_code
    assert headers(answer, path) == headers(got, path)
    if path == JOBS + "/{job_id}/result":
        assert int(answer.headers["content-length"]) == len(got.content)


@pytest.mark.parametrize("path", GET)
def test_head_wants_the_key_that_get_wants(keyed: Keyed, path: str) -> None:
    job_id = keyed.owner.submit()
    stranger = keyed.service.another_caller("")

    answer = head(stranger, path, job_id)

    assert answer.status_code == ROWS["GET", path].ask(stranger, job_id).status_code
    assert answer.status_code == (401 if ROWS["GET", path].scopes else ROWS["GET", path].opened)


def test_the_head_of_a_running_job_s_events_ends_at_once(service: Service) -> None:
    job_id = service.caller.submit()
    service.worker.take()
    began_at = time.monotonic()

    answer = service.caller.http.head(f"{JOBS}/{job_id}/events")

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-job-id"] == job_id
    assert time.monotonic() - began_at < 5
    wait_until(lambda: service.waiting == 0, what="nobody to wait")
    assert service.caller.job(job_id)["status"] == "running"


def test_the_head_of_a_result_gives_no_picture_away(service: Service) -> None:
    """A retry of the call still finds its picture, as nobody has had it."""
    once = {"Idempotency-Key": "1"}
    job_id = service.caller.submit(once)
    service.worker.do()

    assert service.caller.http.head(f"{JOBS}/{job_id}/result").status_code == 200

    answer = service.caller.generate(once)
    assert (answer.status_code, answer.headers["x-job-id"]) == (200, job_id)


@pytest.mark.parametrize(
    ("path", "status", "allow"),
    [
        (GENERATIONS, 405, "POST"),
        ("/nowhere", 404, None),
        ("/v1/models/nope", 404, None),
        ("/playground/none.js", 404, None),
        ("/v1/chat/completions", 400, None),
    ],
)
def test_what_is_refused_is_refused_without_a_body(
    automatic: Service, path: str, status: int, allow: str | None
) -> None:
    answer = automatic.caller.http.head(path)

    assert (answer.status_code, answer.content, answer.headers.get("allow")) == (status, b"", allow)
    assert int(answer.headers["content-length"]) == len(automatic.caller.http.get(path).content)


def test_a_connection_goes_on_after_it(automatic: Service) -> None:
    """A body that was sent all the same would be read as the next answer."""
    for path in ("/v1/models", "/playground/js/app.js", "/openapi.json") * 2:
        assert automatic.caller.http.head(path).status_code == 200
        assert automatic.caller.http.get(path).status_code == 200


def test_the_openapi_file_has_no_operation_twice(automatic: Service) -> None:
    document: dict[str, Any] = automatic.caller.http.get("/openapi.json").json()

    assert all("head" not in operations for operations in document["paths"].values())


def test_it_is_counted_as_what_it_was(automatic: Service) -> None:
    automatic.caller.http.head("/v1/models")

    text = automatic.caller.http.get("/metrics").text
    assert 'darkroom_http_requests_total{method="HEAD",route="/v1/models",status="200"}' in text
