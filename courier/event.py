"""What is sent: an event and its signature."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from standardwebhooks import Webhook as Signer

from api.jobs.body import JOBS_PATH, job_object
from shared.jobs.record import JobRecord
from shared.jobs.status import Status

USER_AGENT: Final = "Darkroom-Webhooks/1"


@dataclass(frozen=True)
class Message:
    """A request to be sent."""

    headers: dict[str, str]
    body: bytes


def event_id(job_id: str) -> str:
    """Return the id of a job's event: the same at each try, since a job has one end."""
    return f"evt_{job_id}"


def event(record: JobRecord, public_url: str = "") -> dict[str, Any]:
    """Return the event of a job that has ended: the same at each try.

    Args:
        record: the job.
        public_url: where the service is reached, to make an address of the result's path.
    """
    ended_at = datetime.fromtimestamp((record.finished_at or record.created_at) // 1000, UTC)
    path = f"{public_url.rstrip('/')}{JOBS_PATH}/{record.id}/result"
    job = {name: value for name, value in job_object(record, None).items() if name != "webhook"}
    return {
        "id": event_id(record.id),
        "object": "event",
        "type": f"job.{record.status.value}",
        "created_at": int(ended_at.timestamp()),
        "timestamp": ended_at.isoformat().replace("+00:00", "Z"),
        "data": {**job, "result_url": path if record.status is Status.SUCCEEDED else None},
    }


def message(told: Mapping[str, Any], now: float, secrets: Iterable[str]) -> Message:
    """Return an event as it is sent.

    Args:
        told: the event.
        now: the time of this try, unix seconds.
        secrets: each of them signs.
    """
    body = json.dumps(told, separators=(",", ":"))
    at = datetime.fromtimestamp(int(now), UTC)
    signatures = [Signer(secret).sign(told["id"], at, body) for secret in secrets]
    return Message(
        {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "webhook-id": told["id"],
            "webhook-timestamp": str(int(now)),
            "webhook-signature": " ".join(signatures),
        },
        body.encode(),
    )
