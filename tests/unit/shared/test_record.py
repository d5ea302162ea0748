"""A record, as it is read from its hash."""

import pytest

from shared.jobs.record import FIELDS, parse
from shared.jobs.status import Status
from shared.params import Params

PARAMS = Params(prompt="swan", seed=5)
RAW: dict[str, bytes | None] = {
    **dict.fromkeys(FIELDS),
    "status": b"queued",
    "owner": b"owner",
    "model": b"tiny",
    "params": PARAMS.model_dump_json().encode(),
    "created_at": b"1700000000000",
    "deadline_at": b"1700003600000",
    "attempt": b"0",
    "cost": b"1000",
}


def test_a_fresh_record_has_nothing_but_its_beginning() -> None:
    record = parse("id", RAW)

    assert record is not None
    assert (record.id, record.status, record.params) == ("id", Status.QUEUED, PARAMS)
    assert (record.started_at, record.finished_at, record.expires_at) == (None, None, None)
    assert (record.error, record.usage, record.history, record.worker) == (None, None, (), "")


def test_what_scripts_write_as_empty_is_nothing() -> None:
    record = parse("id", {**RAW, "error": b"", "started_at": b"", "worker": b""})

    assert record is not None
    assert (record.error, record.started_at) == (None, None)


def test_warnings_are_none_where_an_older_worker_wrote_the_record() -> None:
    told = parse("id", {**RAW, "warnings": b'[{"code":"size_resampled","message":"It was."}]'})
    silent = parse("id", {name: value for name, value in RAW.items() if name != "warnings"})

    assert told is not None
    assert silent is not None
    assert told.warnings == ({"code": "size_resampled", "message": "It was."},)
    assert silent.warnings == ()


@pytest.mark.parametrize("missing", ["status", "params"])
def test_a_hash_without_a_job_is_none(missing: str) -> None:
    assert parse("id", {**RAW, missing: None}) is None


@pytest.mark.parametrize(
    ("status", "step", "steps", "percent"),
    [
        ("queued", 0, 0, 0),
        ("running", 0, 8, 0),
        ("running", 1, 3, 33),
        ("running", 8, 8, 99),
        ("succeeded", 0, 0, 100),
        ("succeeded", 3, 8, 100),
        ("failed", 3, 4, 75),
        ("cancelled", 8, 8, 99),
    ],
)
def test_progress_is_100_only_when_the_job_has_succeeded(
    status: str, step: int, steps: int, percent: int
) -> None:
    raw = {**RAW, "status": status.encode(), "step": str(step).encode(), "steps": str(steps).encode()}
    record = parse("id", raw)

    assert record is not None
    assert record.progress == percent


def test_no_prompt_is_kept_for_the_next_time_it_comes() -> None:
    """What reads JSON keeps short texts, to know them again: thousands of prompts in every process."""
    first, second = parse("id", RAW), parse("id", RAW)

    assert first is not None
    assert second is not None
    assert first.params.prompt is not second.params.prompt
