"""A valid request is answered alike, whether the framework's route reads it or nobody but us.

A header that is given twice sends a request to the framework; here it is one that changes nothing.
"""

from typing import Any

import pytest

from cli.keyholder import Keyholder
from shared.api_keys import Scope
from tests.http_caller import GENERATIONS, JOBS, assert_error
from tests.integration.conftest import Serve, Service

HARMLESS = [("x-on-disconnect", "grace"), ("x-on-disconnect", "grace")]
NOBODY = "nobody's"
VARYING = {"date", "x-request-id", "x-job-id", "location"}

REQUESTS: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({}, {}),
    ({}, {"n": 3, "size": "72x64", "quality": "high", "seed": 7, "output_format": "webp"}),
    ({}, {"model": "plain", "background": None, "user": "anna", "user_id": 5}),
    ({}, {"model": "random", "stream": False, "moderation": "low"}),
    ({"OpenAI-Organization": "acme", "OpenAI-Project": "cats"}, {"negative_prompt": "dogs"}),
    ({"Content-Type": "application/vnd.api+json"}, {}),
    ({}, {"model": "nothing like it"}),
    ({}, {"model": "GPT-Image-1", "quality": "HD", "size": " 128X64", "style": "", "output_format": "WEBP"}),
    ({}, {"seed": -1, "n": 4, "safety_identifier": "anna", "user": None}),
    ({}, {"seed": 2**32 - 1, "n": 2}),
    ({}, {"seed": -2}),
    ({}, {"quality": "best", "safety_identifier": 5}),
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
        # In whatever order: they may be of two models.
        assert {service.worker.do(), service.worker.do()} == {short.json()["id"], long.json()["id"]}
        for answer in (short, long):
            result = service.caller.http.get(f"{JOBS}/{answer.json()['id']}/result", headers=headers)
            assert result.status_code == 200


def seen(body: Any) -> Any:
    """What of an answer is the same for the same request."""
    varying = {"id", "created_at", "seeds", "queue_position", "eta_seconds", "model"}
    return {name: value for name, value in body.items() if name not in varying}


def test_what_is_preferred_in_two_headers_counts_like_one(service: Service) -> None:
    twice = [("Prefer", "respond-async"), ("Prefer", "wait=1")]

    answer = service.caller.http.post(GENERATIONS, json={"prompt": "a tiny picture"}, headers=twice)

    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async, wait=1")


def test_both_ways_in_share_what_an_idempotency_key_replays(service: Service) -> None:
    headers = [("Prefer", "respond-async"), ("Idempotency-Key", "one")]
    body = {"prompt": "a tiny picture"}

    ids = {
        service.caller.http.post(GENERATIONS, json=body, headers=[*headers, *more]).json()["id"]
        for more in ([], HARMLESS, [])
    }

    assert len(ids) == 1


@pytest.mark.parametrize("what", ["", "/result"])
@pytest.mark.parametrize("whose", ["queued", "finished", "failed", "another's", NOBODY])
def test_both_ways_show_a_job_alike(service: Service, what: str, whose: str) -> None:
    other = service.another_caller()
    job_id = (other if whose == "another's" else service.caller).submit()
    if whose == "finished":
        service.worker.do()
    elif whose == "failed":
        service.worker.fail(service.worker.take())
    path = f"{JOBS}/{'0' * 32 if whose == NOBODY else job_id}{what}"

    short, long = (
        service.caller.http.get(path, headers=[*more]) for more in ([("Prefer", "return=minimal")], HARMLESS)
    )

    assert (short.status_code, short.content) == (long.status_code, long.content)
    assert {k: v for k, v in short.headers.items() if k not in VARYING} == {
        k: v for k, v in long.headers.items() if k not in VARYING
    }
    if whose in {"another's", NOBODY}:
        assert_error(short, 404, "job_not_found")


def test_a_job_is_shown_to_a_key_that_may_read_and_to_no_other(serve: Serve) -> None:
    """Scopes are checked on the short way, as on the other."""
    service = serve()
    settings = service.api.settings
    keyholder = Keyholder(settings.redis, settings.api.owner_salt.get_secret_value().encode())
    owner = keyholder.create("one", scopes=frozenset({Scope.GENERATE}))
    with service.another_caller(owner.text) as caller:
        job_id = caller.submit()
        short, long = (caller.http.get(f"{JOBS}/{job_id}", headers=[*more]) for more in ([], HARMLESS))

    for answer in (short, long):
        assert_error(answer, 403, "permission_denied")
