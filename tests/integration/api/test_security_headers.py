"""What browsers are told on every response, whoever made it."""

import re

import pytest

from api.http.security_headers import headers_for
from tests.http_caller import GENERATIONS, JOBS, Response
from tests.integration.conftest import Service

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def assert_guarded(answer: Response) -> None:
    names = [name for name, _ in answer.headers.multi_items()]
    assert {name: answer.headers[name] for name in ALWAYS} == ALWAYS
    assert "camera=()" in answer.headers["permissions-policy"]
    assert {"default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} <= set(
        answer.headers["content-security-policy"].split("; ")
    )
    repeated = {name for name in names if names.count(name) > 1}
    assert repeated == set()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/playground/js/app.js", 200),
        ("GET", "/playground/nothing", 404),
        ("GET", "/static-offline-docs/swagger-ui.css", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/v1/models", 200),
        ("GET", f"{JOBS}/nope", 422),
        ("GET", f"{JOBS}/", 404),
        ("GET", GENERATIONS, 405),
        ("POST", GENERATIONS, 415),
        ("GET", "/nope", 404),
    ],
)
def test_every_response_has_them_once(automatic: Service, method: str, path: str, status: int) -> None:
    answer = automatic.caller.http.request(method, path)

    assert answer.status_code == status
    assert_guarded(answer)


def test_pictures_streams_refusals_and_crashes_have_them(service: Service) -> None:
    caller = service.caller
    with service.worker.serving():
        held = caller.generate()
        streamed = caller.generate(stream=True)
        result = caller.result(held.headers["x-job-id"])
        events = caller.http.get(f"{JOBS}/{held.headers['x-job-id']}/events")
    large = caller.post(b" " * (1024 * 1024 + 1))
    service.worker.client.hset(service.key("job", held.headers["x-job-id"]), "status", "no such status")
    crash = caller.http.get(f"{JOBS}/{held.headers['x-job-id']}")

    answers = [held, streamed, result, events, large, crash]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 413, 500]
    for answer in answers:
        assert_guarded(answer)
        assert answer.headers["cache-control"] == "no-store"


def test_a_page_may_load_its_own_files_and_run_no_script_that_is_inside_of_it(service: Service) -> None:
    for path in ("/", "/docs"):
        page = service.caller.http.get(path)
        policy = page.headers["content-security-policy"]

        assert "script-src 'self';" in f"{policy};"
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page.text))
        assert re.search(r"\son\w+=", page.text) is None
        assert page.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["*", "", "/playgroundx", "/v1", "//", "/docs/"])
def test_an_odd_path_is_treated_like_an_answer(path: str) -> None:
    assert (b"cache-control", b"no-store") in headers_for(path)
