"""Where nothing is: what an address misses, and what OpenAI has and this service has not, in words."""

import re
from pathlib import Path
from typing import Final

import openai
import pytest

from cli.keyholder import Keyholder
from shared.api_keys import Scope
from tests.http_caller import assert_error
from tests.integration.conftest import Serve, Service

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SERVED: Final = {
    *("/images/generations", "/images/edits", "/models", "/models/X"),
    *("/files", "/files/X", "/files/X/content", "/batches", "/batches/X", "/batches/X/cancel"),
}


def client_s_paths() -> set[str]:
    """Every path that the official client can ask."""
    folder = Path(openai.__file__).parent / "resources"
    text = "\n".join(file.read_text(encoding="utf-8") for file in folder.rglob("*.py"))
    found = re.findall(r'"(/[a-z_]+[^"?\s]*)[^"\s]*"', text)
    return {re.sub(r"\{[^}]*\}", "X", path).removeprefix("/v1") for path in found} - {""}


def test_every_path_of_the_official_client_is_served_or_answered_in_words(automatic: Service) -> None:
    paths = client_s_paths() - SERVED
    assert {"/images/variations", "/chat/completions", "/audio/speech", "/vector_stores/X"} <= paths

    for path in sorted(paths):
        answer = automatic.caller.http.post(f"/v1{path}", json={})
        message = assert_error(answer, 400, "unsupported_endpoint")
        assert "/v1/images/generations" in message


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/images/variations", "OpenAI has retired"),
        ("/v1/moderations", "moderates what it is asked to draw"),
        ("/v1/chat/completions", "nothing of OpenAI's 'chat'"),
        ("/v1/realtime", "nothing of OpenAI's 'realtime'"),
        ("/v1/uploads/any/parts", "nothing of OpenAI's 'uploads'"),
        ("/v1/videos/", "nothing of OpenAI's 'videos'"),
    ],
)
def test_a_route_that_openai_has_is_a_400_that_says_what_there_is(
    automatic: Service, method: str, path: str, words: str
) -> None:
    assert words in assert_error(automatic.caller.http.request(method, path), 400, "unsupported_endpoint")


def test_who_has_no_key_is_told_that_first(serve: Serve) -> None:
    service = serve()
    api, redis = service.api.settings.api, service.api.settings.redis
    keyholder = Keyholder(redis, api.owner_salt.get_secret_value().encode())
    text = keyholder.create("a test's", scopes=frozenset({Scope.READ})).text

    for method, path in (("POST", "/v1/images/variations"), ("OPTIONS", "/v1/uploads")):
        assert_error(service.another_caller("").http.request(method, path), 401, "invalid_api_key")
        answer = service.another_caller(text).http.request(method, path)
        assert_error(answer, 400, "unsupported_endpoint")


@pytest.mark.parametrize(
    ("path", "flaw", "right"),
    [
        ("/v1//images/generations", "two slashes", "/v1/images/generations"),
        ("//v1/images/generations", "two slashes", "/v1/images/generations"),
        ("//images/generations", "two slashes", "/v1/images/generations"),
        ("/images/generations", "lacks /v1", "/v1/images/generations"),
        ("/models", "lacks /v1", "/v1/models"),
        ("/models/tiny", "lacks /v1", "/v1/models/tiny"),
        ("/chat/completions", "lacks /v1", "/v1/chat/completions"),
        ("/openai/deployments/images/generations", "lacks /v1", "/v1/images/generations"),
        ("/v1/v1/images/generations", "twice", "/v1/images/generations"),
        ("/v1/v1/models", "twice", "/v1/models"),
        ("/v1/images/generations/", "ends in a slash", "/v1/images/generations"),
        ("/v1/images/jobs/", "ends in a slash", "/v1/images/jobs"),
        ("/healthz/", "ends in a slash", "/healthz"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_address_that_is_nearly_right_is_told_what_it_misses(
    automatic: Service, method: str, path: str, flaw: str, right: str
) -> None:
    answer = automatic.caller.http.request(method, automatic.api.url + path)

    message = assert_error(answer, 404, "not_found")
    assert flaw in message
    assert message.endswith(f" {right}.")


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/v1",
        "/v1/",
        "/v1/images",
        "/playground/none.js",
        "/static-offline-docs/",
        "/%0d%0a/models/%1b",
    ],
)
def test_any_other_address_is_told_where_the_api_is(automatic: Service, path: str) -> None:
    message = assert_error(automatic.caller.http.get(path), 404, "not_found")

    assert message.startswith("There is nothing at this address")
    assert "/docs" in message or "/v1" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/images/generations", "POST"),
        ("DELETE", "/v1/models/tiny", "GET, HEAD"),
        ("OPTIONS", "/v1/images/generations", "POST"),
        ("POST", "/v1/images/jobs", "GET, HEAD"),
        ("POST", f"/v1/images/jobs/{'0' * 32}", "GET, HEAD, DELETE"),
        ("DELETE", "/", "GET, HEAD"),
        ("POST", "/playground/style.css", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_there_is_told_which_are(
    automatic: Service, method: str, path: str, allowed: str
) -> None:
    answer = automatic.caller.http.request(method, path)

    message = assert_error(answer, 405, "method_not_allowed")
    assert allowed.replace(", ", " and ") in message
    assert set(allowed.split(", ")) <= set(answer.headers["allow"].split(", "))
