"""Job records to show."""

from dataclasses import replace
from typing import Any

from shared.jobs.record import JobRecord
from shared.jobs.status import Status
from shared.params import Params

QUEUED = JobRecord(
    id="0" * 32,
    status=Status.QUEUED,
    owner="owner",
    model="tiny",
    params=Params(prompt="swan", seed=5, n=2),
    created_at=1_700_000_000_900,
    started_at=None,
    finished_at=None,
    expires_at=None,
    deadline_at=1_700_003_600_900,
    attempt=0,
    worker="",
    step=0,
    steps=0,
    cost=1000,
    error=None,
    usage=None,
    history=(),
    request_id="req",
)


def record(**changes: Any) -> JobRecord:
    """A queued job, with changes."""
    return replace(QUEUED, **changes)
