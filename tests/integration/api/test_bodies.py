"""What is not a JSON object of bounded size is refused before anything looks into it."""

import json
from collections.abc import Iterator

import pytest

from tests.http_caller import GENERATIONS, assert_error
from tests.integration.conftest import Service

MIB = 1024 * 1024
BODY = b'{"prompt": "a tiny picture"}'


def chunks(size: int) -> Iterator[bytes]:
    yield from (b" " * 65_536 for _ in range(size // 65_536))


def test_a_body_of_2_mib_is_a_413(automatic: Service) -> None:
    answer = automatic.caller.post(BODY.ljust(2 * MIB))

    assert_error(answer, 413, "body_too_large")


def test_a_body_of_2_mib_without_a_length_is_a_413(automatic: Service) -> None:
    http = automatic.caller.http
    answer = http.post(GENERATIONS, content=chunks(2 * MIB), headers={"Content-Type": "application/json"})

    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert_error(answer, 413, "body_too_large")


def test_the_limit_is_1_mib_to_the_byte(automatic: Service) -> None:
    assert automatic.caller.post(BODY.ljust(MIB)).status_code == 200
    assert automatic.caller.post(BODY.ljust(MIB + 1)).status_code == 413


def test_the_connection_goes_on_after_a_body_was_refused(automatic: Service) -> None:
    automatic.caller.post(BODY.ljust(2 * MIB))

    assert automatic.caller.generate().status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"prompt": "a"',
        b'{"prompt": "a",}',
        b"{'prompt': 'a'}",
        b'{"prompt": "a"} trailing',
        b'{"prompt": "\xff\xfe"}',
        b'{"prompt": "a\nb"}',
        b'{"prompt": "a", "n": ' + b"1" * 5000 + b"}",
        b'{"prompt": "a", "n": 01}',
        b'{"prompt": ' + b"[" * 100_000,
        b"prompt=a",
        b"\x00",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_cannot_be_read_as_json_is_a_422(automatic: Service, body: bytes) -> None:
    answer = automatic.caller.post(body)

    assert_error(answer, 422, "invalid_json" if body else "invalid_value")
    assert answer.json()["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize("body", [b"[]", b'"prompt"', b"1", b"1.5", b"true", b"null", b'[{"prompt": "a"}]'])
def test_json_that_is_not_an_object_is_a_422(automatic: Service, body: bytes) -> None:
    answer = automatic.caller.post(body)

    assert_error(answer, 422, "invalid_value")
    assert answer.json()["detail"][0]["loc"] == ["body"]


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-0.5", b"1e308"])
def test_an_odd_number_is_a_422(automatic: Service, number: bytes) -> None:
    assert_error(
        automatic.caller.post(b'{"prompt": "a", "n": ' + number + b"}"), 422, "invalid_value", param="n"
    )


def test_the_last_of_duplicated_keys_counts(automatic: Service) -> None:
    answer = automatic.caller.post(b'{"prompt": "first", "n": 9, "prompt": "last", "n": 1}')

    assert answer.status_code == 200
    assert automatic.worker.drawn[answer.headers["x-job-id"]].prompt == "last"


def test_json_in_utf_16_is_json(automatic: Service) -> None:
    answer = automatic.caller.post(json.dumps({"prompt": "Schwan"}).encode("utf-16"))

    assert answer.status_code == 200
    assert automatic.worker.drawn[answer.headers["x-job-id"]].prompt == "Schwan"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "text/html; json",
        "json/text",
    ],
)
def test_another_content_type_than_json_is_a_415(automatic: Service, content_type: str | None) -> None:
    assert_error(automatic.caller.post(BODY, content_type), 415, "not_json")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.studio+json",
        "text/json",
    ],
)
def test_every_content_type_that_ends_in_json_will_do(automatic: Service, content_type: str) -> None:
    assert automatic.caller.post(BODY, content_type).status_code == 200
