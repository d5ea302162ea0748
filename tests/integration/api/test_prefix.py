"""The service below a prefix, whether the proxy passes it on or takes it off."""

from collections.abc import Iterator
from typing import Final

import pytest
from openai import OpenAI
from structlog.testing import capture_logs

from shared.web_addresses import OWN_NAMES
from tests.http_caller import ASYNC, GENERATIONS, JOBS, HttpCaller, assert_error
from tests.integration.api.test_every_route import routes_of
from tests.integration.conftest import Serve, Service
from tests.sse import streaming
from tests.waiting import wait_until

PREFIX: Final = "/darkroom"


@pytest.fixture(scope="module")
def prefixed(serve_module: Serve) -> Service:
    return serve_module(api={"root_path": PREFIX})


@pytest.fixture(params=["", PREFIX], ids=["taken off", "passed on"])
def caller(prefixed: Service, request: pytest.FixtureRequest) -> Iterator[HttpCaller]:
    """Whoever asks, as their request comes to the API."""
    prefixed.worker.beat()
    with HttpCaller(f"{prefixed.api.url}{request.param}", "key") as found:
        yield found


def test_a_job_is_found_where_its_location_says(prefixed: Service, caller: HttpCaller) -> None:
    answer = caller.generate(ASYNC)
    job_id = answer.json()["id"]

    assert answer.headers["location"] == f"{PREFIX}{JOBS}/{job_id}"
    assert prefixed.caller.http.get(answer.headers["location"]).json()["id"] == job_id
    unfinished = caller.result(job_id)
    assert_error(unfinished, 409, "job_not_finished")
    assert unfinished.headers["location"] == f"{PREFIX}{JOBS}/{job_id}"
    assert prefixed.worker.do() == job_id


def test_held_calls_streams_and_results_are_as_ever(prefixed: Service, caller: HttpCaller) -> None:
    held = caller.later()
    job_id = prefixed.worker.do()
    assert held.result(10).headers["x-job-id"] == job_id
    assert caller.result(job_id).content == held.result().content

    with streaming(caller.http, "POST", GENERATIONS, json={"prompt": "x", "stream": True}) as events:
        prefixed.worker.do()
        assert [event.name for event in events.rest()] == ["image_generation.completed"]
    with streaming(caller.http, "GET", f"{JOBS}/{job_id}/events") as events:
        assert [event.name for event in events.rest()][-1] == "end"


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "/docs",
            "/openapi.json",
            "/playground/js/app.js",
            "/playground/none.js",
            "/v1/models",
            "/nope",
        ),
        *(
            "/static-offline-docs/swagger-ui.css",
            "/healthz",
            "/readyz",
            "/metrics",
            f"{JOBS}/nope",
            "/v1/chat/completions",
        ),
    ],
)
def test_every_path_is_the_route_s_own_with_and_without_it(prefixed: Service, path: str) -> None:
    varying = {"date", "x-request-id", "content-length"} if path == "/metrics" else {"date", "x-request-id"}
    answers = [prefixed.caller.http.get(prefixed.api.url + prefix + path) for prefix in ("", PREFIX)]

    first, second = (
        {name: value for name, value in answer.headers.items() if name not in varying} for answer in answers
    )
    assert answers[0].status_code == answers[1].status_code
    assert first == second
    if path != "/metrics":
        assert answers[0].content == answers[1].content


def test_bodies_are_bounded_and_json_is_known_by_every_name(prefixed: Service, caller: HttpCaller) -> None:
    assert_error(caller.post(b" " * (1024**2 + 1)), 413, "body_too_large")
    assert_error(caller.post(b"{}", "text/plain"), 415, "not_json")
    answer = caller.http.post(
        GENERATIONS,
        content=b'{"prompt": "x"}',
        headers={"content-type": "application/vnd.api+json", **ASYNC},
    )
    assert answer.status_code == 202
    assert prefixed.worker.do()


def test_a_page_of_another_site_is_refused_below_it_too(caller: HttpCaller) -> None:
    answer = caller.http.get("/v1/models", headers={"origin": "https://evil.example"})

    assert_error(answer, 403, "origin_not_allowed", param="Origin")


def test_the_prefix_itself_leads_to_the_page(prefixed: Service) -> None:
    answer = prefixed.caller.http.get(PREFIX)

    assert (answer.status_code, answer.headers["location"]) == (308, f"{PREFIX}/")
    assert answer.headers["x-request-id"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert prefixed.caller.http.get(f"{PREFIX}x").status_code == 404


def test_what_an_address_misses_is_told_with_it(caller: HttpCaller) -> None:
    assert assert_error(caller.http.get("/models"), 404, "not_found").endswith(f"Ask {PREFIX}/v1/models.")
    message = assert_error(caller.http.get("/nowhere"), 404, "not_found")
    assert message.endswith(f"The API is below {PREFIX}/v1, its reference at {PREFIX}/docs.")


def test_the_openapi_file_says_where_its_paths_are(caller: HttpCaller) -> None:
    document = caller.http.get("/openapi.json").json()

    assert document["servers"] == [{"url": PREFIX}]
    firsts = {path.split("/")[1] for path in document["paths"]}
    assert firsts == {"v1", "files", "healthz", "readyz", "metrics"}


def test_requests_are_counted_by_their_routes(prefixed: Service) -> None:
    prefixed.caller.http.get(f"{PREFIX}/v1/models")

    text = prefixed.caller.http.get(f"{PREFIX}/metrics").text

    assert 'darkroom_http_requests_total{method="GET",route="/v1/models",status="200"}' in text
    assert PREFIX not in text


def test_probes_are_as_quiet_below_it(prefixed: Service) -> None:
    with capture_logs() as lines:
        for path in ("/healthz", "/v1/models"):
            prefixed.caller.http.get(PREFIX + path)
        wait_until(lambda: len(lines) > 1, what="two lines in the log")

    told = [(line["log_level"], line["path"]) for line in lines]
    assert told == [("debug", "/healthz"), ("info", "/v1/models")]


def test_the_official_client_works_below_it(prefixed: Service) -> None:
    prefixed.worker.beat()
    client = OpenAI(base_url=f"{prefixed.api.url}{PREFIX}/v1", api_key="key", max_retries=0)

    assert {model.id for model in client.models.list()} == {"tiny", "plain"}
    with prefixed.worker.serving():
        result = client.images.generate(prompt="a tiny picture")
    assert result.data
    assert result.data[0].b64_json
    answer = client.images.with_raw_response.generate(prompt="x", extra_headers=ASYNC)
    assert answer.headers["location"].startswith(f"{PREFIX}{JOBS}/")


def test_without_the_setting_there_is_no_prefix(service: Service) -> None:
    answer = service.caller.generate(ASYNC)

    assert answer.headers["location"] == f"{JOBS}/{answer.json()['id']}"
    assert_error(service.caller.http.get(f"{PREFIX}/v1/models"), 404, "not_found")
    assert "servers" not in service.caller.http.get("/openapi.json").json()


def test_no_prefix_may_begin_as_a_route_does(service: Service) -> None:
    paths = {path for _, path in routes_of(list(service.api.app.routes))}

    assert {path.split("/")[1] for path in paths} - {""} == OWN_NAMES
