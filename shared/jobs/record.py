"""A job's record as Python sees it: read from the hash, never written from here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.jobs.status import Status
from shared.params import Params, shown

FIELDS: Final = (
    "status",
    "owner",
    "model",
    "params",
    "created_at",
    "started_at",
    "finished_at",
    "expires_at",
    "deadline_at",
    "attempt",
    "worker",
    "step",
    "steps",
    "cost",
    "error",
    "usage",
    "history",
    "request_id",
    "trace",
    "warnings",
    "webhook",
    "delivery",
)


@dataclass(frozen=True)
class JobRecord:
    """One job. Instants are unix milliseconds of Redis's clock; None where it has not come to that.

    ``params`` is what this version understands of them. ``trace`` is the ``traceparent`` under which what
    happens to the job is told; empty where nobody traces.
    """

    id: str
    status: Status
    owner: str
    model: str
    params: Params
    created_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    deadline_at: int
    attempt: int
    worker: str
    step: int
    steps: int
    cost: int
    error: dict[str, str] | None
    usage: dict[str, Any] | None
    history: tuple[dict[str, Any], ...]
    request_id: str
    trace: str = ""
    warnings: tuple[dict[str, str], ...] = ()
    """What its caller should know of its pictures: a code and a sentence each."""
    webhook: dict[str, Any] | None = None
    """Who is told how it ended: ``url``, ``events`` and ``signer``."""
    delivery: dict[str, Any] | None = None
    """How far that has come, in the words of ``lua/settle.lua``; None before the first try."""

    @property
    def progress(self) -> int:
        """Percent of the steps done; 100 only when the job has succeeded."""
        if self.status is Status.SUCCEEDED:
            return 100
        return min(99, 100 * self.step // self.steps) if self.steps else 0


Value = bytes | bytearray


def _instant(value: Value | None) -> int | None:
    return int(value) if value else None


def parse(job_id: str, values: Mapping[str, Value | None]) -> JobRecord | None:
    """Read the fields of ``FIELDS``; None where there is no such record.

    Args:
        job_id: the job.
        values: raw hash values by field name, None where the field is missing.
    """
    raw = {name: value for name, value in values.items() if value is not None}
    if "status" not in raw or "params" not in raw:
        return None
    return JobRecord(
        id=job_id,
        status=Status(raw["status"].decode()),
        owner=raw["owner"].decode(),
        model=raw["model"].decode(),
        params=shown(raw["params"]),
        created_at=int(raw["created_at"]),
        started_at=_instant(raw.get("started_at")),
        finished_at=_instant(raw.get("finished_at")),
        expires_at=_instant(raw.get("expires_at")),
        deadline_at=int(raw["deadline_at"]),
        attempt=int(raw["attempt"]),
        worker=raw.get("worker", b"").decode(),
        step=int(raw.get("step", b"0")),
        steps=int(raw.get("steps", b"0")),
        cost=int(raw["cost"]),
        error=json.loads(raw["error"]) if raw.get("error") else None,
        usage=json.loads(raw["usage"]) if raw.get("usage") else None,
        history=tuple(json.loads(raw["history"])) if raw.get("history") else (),
        request_id=raw.get("request_id", b"").decode(),
        trace=raw.get("trace", b"").decode(),
        warnings=tuple(json.loads(raw["warnings"])) if raw.get("warnings") else (),
        webhook=json.loads(raw["webhook"]) if raw.get("webhook") else None,
        delivery=json.loads(raw["delivery"]) if raw.get("delivery") else None,
    )
