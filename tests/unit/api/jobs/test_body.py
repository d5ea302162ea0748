"""How a job and its result leave the service."""

import json

import pytest

from api.jobs.body import eta_s, job_object
from api.jobs.result import splice
from api.store.jobs import Place
from shared.jobs.status import Status
from tests.unit.api.records import record

USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 3},
    "output_tokens": 145,
    "total_tokens": 148,
}


def finished(n: int) -> bytes:
    ended = record(status=Status.SUCCEEDED, finished_at=1_700_000_009_999, usage=USAGE)
    return b"".join(splice(ended, [f"aW1hZ2U{i}".encode() for i in range(n)]))


@pytest.mark.parametrize("n", [1, 2, 10])
def test_a_result_is_spliced_into_the_documented_json(n: int) -> None:
    assert json.loads(finished(n)) == {
        "created": 1_700_000_009,
        "data": [{"b64_json": f"aW1hZ2U{i}"} for i in range(n)],
        "usage": USAGE,
    }


def test_a_result_is_the_same_bytes_every_time() -> None:
    assert finished(2) == finished(2)
    assert b" " not in finished(2)


def test_base64_goes_through_untouched() -> None:
    image = b"+/" * 1_000_000 + b"=="
    body = b"".join(splice(record(status=Status.SUCCEEDED, finished_at=1, usage=USAGE), [image]))

    assert json.loads(body)["data"][0]["b64_json"].encode() == image


def test_a_job_that_waits_says_where_it_stands() -> None:
    shown = job_object(record(), Place(ahead=3, work_ahead=3000, pace_ms=2.0, workers=1))

    assert (shown["queue_position"], shown["eta_seconds"]) == (3, 8)
    assert (shown["created_at"], shown["started_at"], shown["seeds"]) == (1_700_000_000, None, [5, 6])


def test_a_job_that_has_ended_stands_nowhere() -> None:
    shown = job_object(record(status=Status.FAILED, error={"code": "c", "message": "m"}), None)

    assert (shown["queue_position"], shown["eta_seconds"]) == (None, None)
    assert shown["error"] == {"code": "c", "message": "m"}


@pytest.mark.parametrize(
    ("work_ahead", "workers", "eta"),
    [(0, 1, 2), (4000, 1, 10), (4000, 2, 6), (4000, 4, 4)],
)
def test_the_wait_is_shared_by_the_workers_and_the_drawing_is_not(
    work_ahead: int, workers: int, eta: int
) -> None:
    place = Place(ahead=1, work_ahead=work_ahead, pace_ms=2.0, workers=workers)

    assert eta_s(record(), place) == eta


@pytest.mark.parametrize(("step", "eta"), [(0, 2), (10, 1), (19, 0), (20, 0)])
def test_a_running_job_has_its_remaining_steps_ahead(step: int, eta: int) -> None:
    running = record(status=Status.RUNNING, step=step, steps=20)

    assert eta_s(running, Place(ahead=None, work_ahead=0, pace_ms=2.0, workers=1)) == eta


@pytest.mark.parametrize("place", [Place(0, 0, None, 1), Place(0, 0, 2.0, 0)])
def test_nothing_is_predicted_without_a_pace_or_a_worker(place: Place) -> None:
    assert eta_s(record(), place) is None
