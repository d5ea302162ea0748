"""How a job looks from outside: its public form, and what every answer about it says in its head."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from api.errors import json_response
from api.store.jobs import JobStore, Place
from shared.jobs.record import JobRecord
from shared.jobs.status import Status

JOBS_PATH: Final = "/v1/images/jobs"
NO_HEADERS: Final[Mapping[str, str]] = {}
WAITING_FOR_NEWER: Final = {
    "code": "waiting_for_newer_worker",
    "message": "No worker that is alive is new enough to draw this; it waits until one comes.",
}


def job_object(record: JobRecord, place: Place | None) -> dict[str, Any]:
    """Return the public form of a job; ``place`` is given for one that has not ended."""
    return {
        "id": record.id,
        "object": "image.job",
        "status": record.status.value,
        "model": record.model,
        "created_at": record.created_at // 1000,
        "started_at": _seconds(record.started_at),
        "finished_at": _seconds(record.finished_at),
        "expires_at": _seconds(record.expires_at),
        "progress": record.progress,
        "queue_position": place.ahead if place else None,
        "eta_seconds": eta_s(record, place) if place else None,
        "attempt": record.attempt,
        "seeds": list(record.params.seeds),
        "error": record.error,
        "warnings": warnings(record, place),
        **({"webhook": webhook_state(record)} if record.webhook else {}),
    }


def webhook_state(record: JobRecord) -> dict[str, Any]:
    """Return who is told of a job's end, and how far that has come."""
    hook, told = record.webhook or {}, record.delivery or {}
    events = list(hook.get("events", ()))
    state = told.get("state", "pending")
    if not record.status.terminal:
        state = "waiting"
    elif f"job.{record.status.value}" not in events:
        state = "not_wanted"
    return {
        "url": hook.get("url"),
        "events": events,
        "state": state,
        "attempts": told.get("attempts", 0),
        "last_attempt_at": _seconds(told.get("last_attempt_at")),
        "response_status": told.get("response_status"),
        "error": told.get("error"),
        "next_attempt_at": _seconds(told.get("next_attempt_at")),
        "delivered_at": _seconds(told.get("delivered_at")),
    }


def warnings(record: JobRecord, place: Place | None = None) -> list[dict[str, str]]:
    """Return what the caller should know of a job and of how it stands, a code and a sentence each."""
    told = [{"code": each["code"], "message": each["message"]} for each in record.warnings]
    return [*told, WAITING_FOR_NEWER] if place and place.newer else told


def job_headers(record: JobRecord, place: Place | None = None) -> dict[str, str]:
    """Return what each answer about a job says in its head: which, by which model, from which seeds."""
    headers = {
        "x-job-id": record.id,
        "x-seeds": ", ".join(map(str, record.params.seeds)),
        "x-model": record.model,
    }
    # A dictionary of strings, as RFC 9651 writes one.
    told = ", ".join(f'{each["code"]}="{_quoted(each["message"])}"' for each in warnings(record, place))
    return {**headers, "x-warnings": told} if told else headers


def _quoted(text: str) -> str:
    """Return a text as it may stand between quotes in a header: printable ASCII, the two marks escaped."""
    plain = "".join(each if " " <= each <= "~" else "?" for each in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')


def eta_s(record: JobRecord, place: Place) -> int | None:
    """Return the predicted seconds until a job ends; None where no pace was learned or nobody works."""
    if place.pace_ms is None or place.workers == 0:
        return None
    to_draw_ms = record.cost * (place.latency_ms or place.pace_ms)
    if record.status is Status.RUNNING:
        ms = to_draw_ms * (100 - record.progress) / 100
    else:
        ms = place.work_ahead * place.pace_ms / place.workers + to_draw_ms
    return max(0, round(ms / 1000))


async def describe(store: JobStore, record: JobRecord) -> dict[str, Any]:
    """Return the public form of a job with its place in the queue."""
    return job_object(record, None if record.status.terminal else await store.place(record.id))


def job_response(record: JobRecord, place: Place | None, headers: Mapping[str, str] = NO_HEADERS) -> Response:
    """Return a job as it is now; ``place`` is given for one that has not ended."""
    return json_response(job_object(record, place), 200, {**headers, **job_headers(record, place)})


def kind(record: JobRecord) -> dict[str, str]:
    """Return of what kind a job's images are, in OpenAI's words."""
    params = record.params
    return {
        "background": params.background.value,
        "output_format": params.output_format.value,
        "quality": params.quality.value,
        "size": params.size,
    }


def _seconds(instant_ms: int | None) -> int | None:
    return None if instant_ms is None else int(instant_ms) // 1000
