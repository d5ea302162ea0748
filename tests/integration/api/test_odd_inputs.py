"""Whatever is sent is answered or refused, in the service's shape, and never with a 500."""

import json
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.generations.request import GenerationRequest
from tests.http_caller import ASYNC, GENERATIONS, JOBS, HttpCaller, Response, assert_error
from tests.integration.conftest import Service

MIB: Final = 1024 * 1024
SOME: Final = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXT: Final = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(categories=("Cs", "Cc", "Cf", "Co", "Cn")), max_size=12),
    st.sampled_from(
        ["", "\x00", "\ud800", "\udfff\ud800", "\ufffe", "\u202e", "a\u0300" * 40, "💥" * 30, "NaN"]
    ),
)
NUMBER: Final = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, 10**400, 1e308, 1.5, -0.0]),
)
JSON: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBER, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)
FIELD: Final = st.one_of(st.sampled_from(sorted(GenerationRequest.model_fields)), TEXT)
BODY: Final = st.one_of(JSON, st.dictionaries(FIELD, JSON, max_size=6))


def body_of(document: Any) -> bytes:
    # NaN, Infinity and halves of surrogate pairs are written as Python's json writes them.
    return json.dumps(document).encode()


def post(caller: HttpCaller, body: bytes, **headers: str) -> Response:
    named = {"Content-Type": "application/json", **ASYNC, **headers}
    return caller.http.post(GENERATIONS, content=body, headers=named)


def assert_answered(answer: Response) -> None:
    assert answer.status_code < 500, answer.text
    document = answer.json()
    assert document
    if answer.status_code >= 400:
        assert set(document["error"]) == {"message", "type", "param", "code"}
        answer.content.decode("ascii")  # half a surrogate pair cannot be written otherwise


@SOME
@given(BODY)
def test_any_json_is_answered(automatic: Service, document: Any) -> None:
    assert_answered(post(automatic.caller, body_of(document)))


@SOME
@given(st.dictionaries(FIELD, JSON, max_size=4), TEXT)
def test_any_field_beside_a_prompt_is_answered(
    automatic: Service, document: dict[str, Any], user: str
) -> None:
    answer = post(
        automatic.caller, body_of({**document, "prompt": "a tiny picture", "user": user, "stream": False})
    )

    assert_answered(answer)


@SOME
@given(st.binary(max_size=200))
def test_any_bytes_are_answered(automatic: Service, body: bytes) -> None:
    assert_answered(post(automatic.caller, body))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * (MIB - 1),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"prompt":' * 50_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"prompt": ' + b"[" * 400_000 + b"]" * 400_000 + b"}",
        b'{"prompt": "a", "n": 1' + b"0" * 900_000 + b"}",
        b'{"prompt": "a", "seed": 1e' + b"9" * 1000 + b"}",
        b'{"prompt": "a", "seed": -' + b"9" * 4000 + b"}",
        b'{"prompt": "' + b"\\ud800" * 100_000 + b'"}',
        b'{"prompt": "' + b"a" * 1_000_000 + b'"}',
    ],
    ids=[
        "arrays",
        "closed arrays",
        "objects",
        "closed objects",
        "prompt",
        "digits",
        "exponent",
        "minus",
        "surrogates",
        "long",
    ],
)
def test_a_bomb_is_a_422(automatic: Service, body: bytes) -> None:
    answer = post(automatic.caller, body)

    assert answer.status_code == 422, answer.text[:200]
    assert len(answer.content) < 2000


def test_a_deep_value_of_an_ignored_field_is_ignored(automatic: Service) -> None:
    for depth in (100, 500, 900):
        body = b'{"prompt": "a", "deep": ' + b"[" * depth + b"]" * depth + b"}"
        answer = post(automatic.caller, body)

        assert answer.status_code == 202
        assert answer.headers["x-ignored-fields"] == "deep"


def test_of_a_field_that_comes_twice_the_last_counts(automatic: Service) -> None:
    answer = post(automatic.caller, b'{"prompt": "\\u0000", "prompt": "a", "n": 9, "n": 2}')

    assert answer.status_code == 202
    assert len(answer.json()["seeds"]) == 2


@pytest.mark.parametrize("names", [10_000, 50_000])
def test_a_body_of_nothing_but_names_is_answered_within_a_header(automatic: Service, names: int) -> None:
    answer = post(automatic.caller, body_of({"prompt": "a", **{f"n{i}": 0 for i in range(names)}}))

    assert answer.status_code == 202
    assert len(answer.headers["x-ignored-fields"]) <= 512


# What the client lets pass; tests/e2e/test_connections.py sends what it does not.
HEADER: Final = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40
)
NAMES: Final = ("Prefer", "Idempotency-Key", "Last-Event-ID", "OpenAI-Organization", "OpenAI-Project",
                "x-on-disconnect", "x-request-id", "x-stainless-retry-count", "Authorization", "Accept",
                "If-None-Match", "Range", "Content-Encoding", "X-Forwarded-For", "Forwarded")  # fmt: skip


@SOME
@given(st.dictionaries(st.sampled_from(NAMES), HEADER, min_size=1, max_size=4))
def test_any_header_is_answered(automatic: Service, headers: dict[str, str]) -> None:
    latin = {name: value.strip().encode("latin-1") for name, value in headers.items()}
    named: Any = {"Content-Type": b"application/json", "Prefer": b"respond-async", **latin}
    caller = automatic.another_caller("")

    assert_answered(caller.http.post(GENERATIONS, content=b'{"prompt": "a"}', headers=named))
    assert_answered(caller.http.get(JOBS, headers=named))
    assert caller.http.get(f"{JOBS}/{'0' * 32}/events", headers=named).status_code in {404, 422}


def test_headers_have_their_bounds(automatic: Service) -> None:
    caller = automatic.caller
    long = "x" * 300
    assert_error(caller.generate({"Idempotency-Key": long}), 422, "invalid_value", param="Idempotency-Key")
    events = caller.http.get(f"{JOBS}/{'0' * 32}/events", headers={"Last-Event-ID": long})
    assert_error(events, 422, "invalid_value", param="last-event-id")
    assert caller.generate({"Prefer": "wait=" + "9" * 5000}).status_code == 200
    assert caller.generate({"Prefer": "respond-async," * 1500}).status_code == 202


PATH_PARTS: Final = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="/?#"), min_size=1, max_size=40
)


@SOME
@given(PATH_PARTS, TEXT, TEXT)
def test_any_path_and_query_is_answered(automatic: Service, part: str, name: str, value: str) -> None:
    query = {"after": value.encode("utf-8", "surrogatepass"), "limit": name.encode("utf-8", "surrogatepass")}
    days = {"end": query["after"], "days": query["limit"], "key_id": query["after"]}
    for path, params in ((JOBS, query), ("/v1/usage", days)):
        assert_answered(automatic.caller.http.get(path, params=params))  # type: ignore[arg-type]
    part = quote(part, safe="")
    for path in (f"{JOBS}/{part}", f"{JOBS}/{part}/result", f"/v1/models/{part}"):
        answer = automatic.caller.http.get(path)
        assert answer.status_code in {200, 307, 404, 422}, path


@pytest.mark.parametrize(
    "path", ["%00", "%FF%FE", "%ED%A0%80", "..%2f..%2fetc%2fpasswd", "%0d%0aX-Injected:%20yes"]
)
def test_an_encoded_path_is_a_404_or_422_and_injects_nothing(automatic: Service, path: str) -> None:
    for prefix in (f"{JOBS}/", "/v1/models/", "/", "/playground/", "/static-offline-docs/"):
        answer = automatic.caller.http.get(f"{prefix}{path}")

        assert answer.status_code in {404, 422}, prefix
        assert "x-injected" not in answer.headers


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=1e2",
        "limit=%00",
        "after=" + "0" * 33,
        "after=%00",
        "limit=" + "9" * 5000,
    ],
)
def test_a_page_has_bounds(automatic: Service, query: str) -> None:
    answer = automatic.caller.http.get(f"{JOBS}?{query}")

    assert_error(answer, 422, "invalid_value", param=query.split("=", maxsplit=1)[0])
