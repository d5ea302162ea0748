"""What every answer about a job says in its head, what it warns of, and the body with its details."""

import json
from typing import Any

import pytest

from shared.job_warnings import JobWarning
from tests.http_caller import ASYNC, GENERATIONS, JOBS, Json, Response, assert_error
from tests.integration.conftest import Serve, Service
from tests.sse import streaming
from tests.waiting import wait_until

FIELDS: Json = {"n": 3, "seed": 7, "model": "small"}
RETRY = {"x-stainless-retry-count": "1"}
CUT = JobWarning("prompt_truncated", "The prompt has 60 tokens, of which the model reads the first 46.")
ODD = JobWarning("size_resampled", 'Odd: "quoted", a \\ and\r\nwide: \uff57.')
BOTH = [
    {"code": "prompt_truncated", "message": CUT.message},
    {"code": "size_resampled", "message": ODD.message},
]
HEADER = (
    'prompt_truncated="The prompt has 60 tokens, of which the model reads the first 46.", '
    'size_resampled="Odd: \\"quoted\\", a \\\\ and??wide: ?."'
)


def about(answer: Response) -> tuple[str | None, ...]:
    return tuple(answer.headers.get(name) for name in ("x-job-id", "x-seeds", "x-model"))


def test_the_held_answer_and_everything_about_its_job_say_which_it_is(service: Service) -> None:
    call = service.caller.later(**FIELDS)
    job_id = service.worker.do()
    answers = [
        call.result(timeout=5),
        service.caller.http.get(f"{JOBS}/{job_id}"),
        service.caller.http.get(f"{JOBS}/{job_id}", headers={"Prefer": "wait=1"}),
        service.caller.result(job_id),
        service.caller.http.get(f"{JOBS}/{job_id}/events"),
        service.caller.cancel(job_id),
    ]

    assert [answer.status_code for answer in answers] == [200] * 6
    assert {about(answer) for answer in answers} == {(job_id, "7, 8, 9", "tiny")}
    assert all("x-warnings" not in answer.headers for answer in answers)


@pytest.mark.parametrize("prefer", ["respond-async", "wait=0", "wait=1"])
def test_an_accepted_call_says_which_job_it_is(service: Service, prefer: str) -> None:
    answer = service.caller.generate({"Prefer": prefer}, **FIELDS)

    assert answer.status_code == 202
    assert about(answer) == (answer.json()["id"], "7, 8, 9", "tiny")


def test_a_call_that_waited_for_a_change_says_it_too(service: Service) -> None:
    job_id = service.caller.submit(**FIELDS)
    call = service.caller.get_later(f"{JOBS}/{job_id}", {"Prefer": "wait=10"})
    wait_until(lambda: service.waiting == 1, what="the held call")
    service.worker.take()

    assert about(call.result(timeout=5)) == (job_id, "7, 8, 9", "tiny")


def test_a_stream_says_it_before_anything_is_drawn(service: Service) -> None:
    body = {"prompt": "a tiny picture", "stream": True, **FIELDS}
    with streaming(service.caller.http, "POST", GENERATIONS, json=body) as events:
        assert about(events.response)[1:] == ("7, 8, 9", "tiny")
        assert service.worker.do() == about(events.response)[0]


def test_a_call_that_attaches_is_told_the_seeds_and_the_model_of_the_earlier_job(service: Service) -> None:
    first = service.caller.generate(ASYNC, model="random", n=2)
    repeated = [service.caller.generate({**ASYNC, **RETRY}, model="random", n=2) for _ in range(8)]
    service.worker.do()

    assert {about(answer) for answer in repeated} == {about(first)}
    seeds = [int(seed) for seed in first.headers["x-seeds"].split(",")]
    assert seeds == first.json()["seeds"]


def test_a_stream_that_attaches_is_told_them_too(service: Service) -> None:
    key = {"Idempotency-Key": "one"}
    body = {"prompt": "a tiny picture", "stream": True, "model": "random"}
    with streaming(service.caller.http, "POST", GENERATIONS, json=body, headers=key) as first:
        service.worker.do()
        for _ in range(4):
            with streaming(service.caller.http, "POST", GENERATIONS, json=body, headers=key) as second:
                assert about(second.response) == about(first.response)


def test_the_error_of_a_job_says_whose_it_is(service: Service) -> None:
    call = service.caller.later(**FIELDS)
    attempt = service.worker.take()
    unfinished = service.caller.result(attempt.job_id)
    service.worker.fail(attempt)
    failed = [call.result(timeout=5), service.caller.result(attempt.job_id)]

    assert_error(unfinished, 409, "job_not_finished")
    for answer in failed:
        assert_error(answer, 500, "generation_failed", kind="server_error")
        assert answer.headers["location"] == f"{JOBS}/{attempt.job_id}"
        assert answer.headers["x-should-retry"] == "false"
    assert {about(answer) for answer in (unfinished, *failed)} == {(attempt.job_id, "7, 8, 9", "tiny")}


def test_an_expired_result_says_whose_it_was(service: Service) -> None:
    job_id = service.caller.submit(**FIELDS)
    service.worker.do()
    service.worker.client.delete(service.key("result", job_id))

    answer = service.caller.result(job_id)

    assert_error(answer, 410, "result_expired")
    assert about(answer) == (job_id, "7, 8, 9", "tiny")


def test_a_call_that_is_held_too_long_says_which_job_goes_on(serve: Serve) -> None:
    service = serve(api={"sync_timeout_s": 0.2})

    answer = service.caller.generate()

    assert_error(answer, 504, "timeout", kind="server_error")
    assert answer.headers["location"] == f"{JOBS}/{answer.headers['x-job-id']}"


def test_the_workers_warnings_reach_the_caller_everywhere(service: Service) -> None:
    held = service.caller.later(prompt="held")
    attempt = service.worker.take()
    before = service.caller.http.get(f"{JOBS}/{attempt.job_id}")
    service.worker.finish(attempt, CUT, ODD)
    job = service.caller.http.get(f"{JOBS}/{attempt.job_id}")
    answers = [held.result(timeout=5), job, service.caller.result(attempt.job_id)]

    assert before.json()["warnings"] == []
    assert "x-warnings" not in before.headers
    assert {answer.headers["x-warnings"] for answer in answers} == {HEADER}
    assert job.json()["warnings"] == BOTH
    assert service.caller.http.get(JOBS).json()["data"][0]["warnings"] == BOTH
    assert set(held.result().json()) == {"created", "data", "usage"}


def test_a_stream_tells_warnings_with_each_picture(service: Service) -> None:
    body = {"prompt": "a tiny picture", "stream": True, "n": 2}
    with streaming(service.caller.http, "POST", GENERATIONS, json=body) as events:
        service.worker.finish(service.worker.take(), CUT, ODD)
        told = events.rest()

    assert [event.data["warnings"] for event in told] == [BOTH, BOTH]


def test_who_follows_a_job_is_told_its_warnings(service: Service) -> None:
    job_id = service.caller.submit()
    service.worker.finish(service.worker.take(), CUT)
    with streaming(service.caller.http, "GET", f"{JOBS}/{job_id}/events") as events:
        assert events.next("status").data["warnings"] == BOTH[:1]


def test_a_record_of_an_older_worker_has_no_warnings(service: Service) -> None:
    """It has no such field; one without any warnings has none either, which saves its bytes."""
    job_id = service.worker.do() if service.caller.submit() else ""

    assert service.worker.client.hget(service.key("job", job_id), "warnings") is None
    assert service.caller.job(job_id)["warnings"] == []


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, {"background": "opaque", "output_format": "png", "quality": "medium", "size": "512x512"}),
        (
            {"background": "transparent", "output_format": "webp", "quality": "hd", "size": "64X128"},
            {"background": "transparent", "output_format": "webp", "quality": "high", "size": "64x128"},
        ),
    ],
)
def test_a_detailed_answer_says_what_was_drawn(
    serve: Serve, fields: dict[str, Any], kind: dict[str, str]
) -> None:
    service = serve(api={"detailed_responses": True})
    call = service.caller.later(n=2, **fields)
    job_id = service.worker.do()

    body = call.result(timeout=5).json()
    usage, data = body.pop("usage"), body.pop("data")
    assert type(body.pop("created")) is int
    assert body == kind
    assert (len(data), usage["input_tokens"]) == (2, 3)
    assert service.caller.result(job_id).content == call.result().content
    assert json.loads(service.caller.result(job_id).content)["size"] == kind["size"]
