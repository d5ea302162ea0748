"""A valid request is answered alike, whether the framework's route reads it or nobody but us.

A header that is given twice sends a request to the framework; here it is one that changes nothing.
"""

from typing import Any

import pytest

from tests.http_caller import GENERATIONS
from tests.integration.conftest import Serve, Service

HARMLESS = [("x-on-disconnect", "grace"), ("x-on-disconnect", "grace")]
VARYING = {"date", "x-request-id", "x-job-id", "location"}

REQUESTS: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({}, {}),
    ({}, {"n": 3, "size": "72x64", "quality": "high", "seed": 7, "output_format": "webp"}),
    ({}, {"model": "plain", "background": None, "user": "anna", "user_id": 5}),
    ({}, {"model": "random", "stream": False, "moderation": "low"}),
    ({"OpenAI-Organization": "acme", "OpenAI-Project": "cats"}, {"negative_prompt": "dogs"}),
    ({"Content-Type": "application/vnd.api+json"}, {}),
    ({}, {"model": "nothing like it"}),
    ({}, {"image": "x"}),
    ({}, {"response_format": "url"}),
    ({}, {"prompt": "child porn"}),
    ({}, {"n": 0}),
    ({}, {"prompt": ""}),
    ({"OpenAI-Project": "no spaces"}, {}),
    ({"x-on-disconnect": "whatever"}, {}),
    ({"Idempotency-Key": "k" * 256}, {}),
]


@pytest.fixture
def service(serve: Serve) -> Service:
    return serve(api={"requests_per_minute": 1000})


@pytest.mark.parametrize(("headers", "fields"), REQUESTS)
def test_both_ways_in_answer_alike(service: Service, headers: dict[str, str], fields: dict[str, Any]) -> None:
    body = {"prompt": "a tiny picture", **fields}
    base = [("Prefer", "respond-async"), *headers.items()]
    short, long = (
        service.caller.http.post(GENERATIONS, json=body, headers=[*base, *more]) for more in ([], HARMLESS)
    )

    assert short.status_code == long.status_code
    assert seen(short.json()) == seen(long.json())
    assert {k: v for k, v in short.headers.items() if k not in VARYING | {"content-length"}}.keys() == {
        k: v for k, v in long.headers.items() if k not in VARYING | {"content-length"}
    }.keys()
    if short.status_code == 202:
        for answer in (short, long):
            assert service.worker.do() == answer.json()["id"]
        assert service.caller.result(short.json()["id"]).status_code in {200, 404}


def seen(body: Any) -> Any:
    """What of an answer is the same for the same request."""
    varying = {"id", "created_at", "seeds", "queue_position", "eta_seconds", "model"}
    return {name: value for name, value in body.items() if name not in varying}


def test_the_first_of_a_header_given_twice_counts(service: Service) -> None:
    twice = [("Prefer", "respond-async"), ("Prefer", "wait=1")]

    answer = service.caller.http.post(GENERATIONS, json={"prompt": "a tiny picture"}, headers=twice)

    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")


def test_both_ways_in_share_what_an_idempotency_key_replays(service: Service) -> None:
    headers = [("Prefer", "respond-async"), ("Idempotency-Key", "one")]
    body = {"prompt": "a tiny picture"}

    ids = {
        service.caller.http.post(GENERATIONS, json=body, headers=[*headers, *more]).json()["id"]
        for more in ([], HARMLESS, [])
    }

    assert len(ids) == 1
