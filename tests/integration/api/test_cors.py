"""Pages of other sites: which may ask, what their browsers are told, and that errors are readable too."""

from typing import Final

import openai
import pytest
from openai import OpenAI
from starlette.routing import BaseRoute

from api.generations.route import HEADERS
from api.http.cors import EXPOSED
from cli.keyholder import Keyholder
from shared.api_keys import Scope
from tests.http_caller import ASYNC, GENERATIONS, JOBS, HttpCaller, Response, assert_error
from tests.integration.api.test_every_route import routes_of
from tests.integration.api.test_security_headers import assert_guarded
from tests.integration.conftest import Serve, Service

STUDIO: Final = "https://studio.example"
EVIL: Final = "https://evil.example"
PAGE: Final = {"origin": STUDIO}
# Those of the official clients, and what else our documents name.
SENT: Final = (
    *("authorization", "content-type", "openai-organization", "openai-project", "idempotency-key", "prefer"),
    *("x-on-disconnect", "x-request-id", "last-event-id", "traceparent"),
    *("x-stainless-arch", "x-stainless-lang", "x-stainless-os", "x-stainless-package-version"),
    *("x-stainless-retry-count", "x-stainless-runtime", "x-stainless-runtime-version", "x-stainless-timeout"),
    "x-stainless-of-a-later-version",
)


@pytest.fixture(scope="module")
def open_(serve_module: Serve) -> Service:
    """A service that pages of one site may ask, without a key."""
    return serve_module(
        api={"cors_origins": f"{STUDIO},http://localhost:3000"}, jobs={"queue_without_worker": True}
    )


def preflight(caller: HttpCaller, origin: str = STUDIO, method: str = "POST") -> Response:
    asked = {"access-control-request-method": method, "access-control-request-headers": ", ".join(SENT)}
    return caller.http.options(GENERATIONS, headers={"origin": origin, **asked})


def allowed(answer: Response) -> str | None:
    assert "access-control-allow-credentials" not in answer.headers
    found = answer.headers.get("access-control-allow-origin")
    if found:
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert exposed == list(EXPOSED)
    return found


def test_a_preflight_says_what_the_clients_want_to_hear(open_: Service) -> None:
    for origin in (STUDIO, "http://localhost:3000"):
        answer = preflight(open_.caller, origin)

        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin
        assert set(SENT) <= set(answer.headers["access-control-allow-headers"].split(", "))
        assert "Origin" in answer.headers["vary"]
        assert_guarded(answer)


def test_every_method_that_there_is_may_be_asked_for(open_: Service) -> None:
    routes: list[BaseRoute] = open_.api.app.routes
    for method in {method for method, _ in routes_of(routes)} | {"HEAD"}:
        assert preflight(open_.caller, method=method).status_code == 200


def test_another_page_s_preflight_is_refused(open_: Service) -> None:
    for origin in (EVIL, "null", f"{STUDIO}.evil.example", "http://studio.example", f"{STUDIO}:8443"):
        answer = preflight(open_.caller, origin)

        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers


def test_a_named_page_asks_and_reads_while_there_is_no_key(open_: Service) -> None:
    answer = open_.caller.generate({**PAGE, **ASYNC})

    assert (answer.status_code, allowed(answer)) == (202, STUDIO)
    assert_guarded(answer)


def test_another_page_gets_nothing_while_there_is_no_key(open_: Service) -> None:
    answer = open_.caller.generate({"origin": EVIL, **ASYNC})

    assert_error(answer, 403, "origin_not_allowed", param="Origin")
    assert allowed(answer) is None
    unseen = open_.caller.http.get("/v1/models", headers={"sec-fetch-site": "cross-site"})
    assert_error(unseen, 403, "origin_not_allowed", param="Origin")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/models", {}, 200),
        ("HEAD", "/v1/models", {}, 200),
        ("GET", "/openapi.json", {}, 200),
        ("GET", f"{JOBS}/{'0' * 32}", {}, 404),
        ("GET", f"{JOBS}/nope", {}, 422),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/v1/models", {}, 405),
        ("POST", GENERATIONS, {"content-type": "text/plain"}, 415),
        ("GET", "/v1/models", {"expect": "a miracle"}, 417),
        ("GET", "/v1/models", {"host": "evil.example"}, 403),
    ],
)
def test_every_answer_can_be_read(
    open_: Service, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Whoever made it: routes, the check of bodies, the entrance."""
    with HttpCaller(open_.api.url) as caller:
        answer = caller.http.request(method, path, headers={**PAGE, **headers})

    assert (answer.status_code, allowed(answer)) == (status, STUDIO)
    assert "Origin" in answer.headers["vary"]
    assert answer.headers["x-request-id"]


def test_streams_pictures_and_crashes_can_be_read(serve: Serve) -> None:
    service = serve(api={"cors_origins": STUDIO})
    with service.worker.serving():
        held = service.caller.generate(PAGE)
        streamed = service.caller.generate(PAGE, stream=True)
    job_id = held.headers["x-job-id"]
    service.worker.client.hset(service.key("job", job_id), "status", "no such status")
    crash = service.caller.http.get(f"{JOBS}/{job_id}", headers=PAGE)
    large = service.caller.generate(PAGE, prompt="x" * 1024**2)

    answers = [held, streamed, crash, large]
    assert [answer.status_code for answer in answers] == [200, 200, 500, 413]
    assert [allowed(answer) for answer in answers] == [STUDIO] * 4


def test_with_a_key_any_page_may_ask_and_only_named_ones_read(serve: Serve) -> None:
    service = serve(api={"cors_origins": STUDIO})
    keyholder = Keyholder(
        service.api.settings.redis, service.api.settings.api.owner_salt.get_secret_value().encode()
    )
    caller = service.another_caller(keyholder.create("a test's", scopes=frozenset({Scope.READ})).text)
    stranger = service.another_caller("")

    assert preflight(stranger).status_code == 200
    unknown = stranger.http.get(JOBS, headers=PAGE)
    assert_error(unknown, 401, "invalid_api_key")
    assert allowed(unknown) == STUDIO
    assert allowed(caller.http.get(JOBS, headers=PAGE)) == STUDIO
    other = caller.http.get(JOBS, headers={"origin": EVIL})
    assert (other.status_code, allowed(other)) == (200, None)


def test_a_star_is_every_page(serve: Serve) -> None:
    service = serve(api={"cors_origins": "*"}, jobs={"queue_without_worker": True})

    assert preflight(service.caller, EVIL).headers["access-control-allow-origin"] == "*"
    answer = service.caller.generate({"origin": EVIL, **ASYNC})
    assert (answer.status_code, allowed(answer)) == (202, "*")
    rebound = service.caller.http.get("/v1/models", headers={"host": "evil.example", "origin": EVIL})
    assert_error(rebound, 403, "host_not_allowed", param="Host")


@pytest.mark.parametrize(("origins", "status"), [(STUDIO, 200), ("*", 400)])
def test_a_public_page_asks_inside_only_where_it_was_named(serve: Serve, origins: str, status: int) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-private-network": "true"}

    answer = serve(api={"cors_origins": origins}).caller.http.options(GENERATIONS, headers={**PAGE, **asked})

    assert answer.status_code == status
    assert (answer.headers.get("access-control-allow-private-network") == "true") == (status == 200)


def test_without_the_setting_no_page_is_told_anything(service: Service) -> None:
    answer = preflight(service.caller)

    assert_error(answer, 403, "origin_not_allowed", param="Origin")
    same = service.caller.http.get("/v1/models", headers={"origin": service.api.url})
    for each in (answer, same):
        assert not any(name.startswith("access-control-") for name in each.headers)


def test_what_an_answer_says_of_its_job_can_be_read() -> None:
    assert set(HEADERS) | {"location", "retry-after", "x-request-id", "preference-applied"} <= set(EXPOSED)


def test_what_the_official_client_sends_is_what_a_page_may_send(open_: Service) -> None:
    """Seen on the wire, of this version of it."""
    client = OpenAI(
        base_url=f"{open_.api.url}/v1", api_key="key", organization="o", project="p", max_retries=0
    )
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("nope")
    sent = {
        name.lower() for name in raised.value.request.headers if name.lower().startswith(("x-", "openai-"))
    }
    asked = {"origin": STUDIO, "access-control-request-method": "GET"}

    answer = open_.caller.http.options(
        "/v1/models/nope", headers={**asked, "access-control-request-headers": ",".join(sorted(sent))}
    )

    assert answer.status_code == 200
    assert {"x-stainless-lang", "openai-organization"} <= sent
