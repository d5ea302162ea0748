"""How a job and its result leave the service.

A result is spliced: the stored base64 goes between constant pieces of JSON, never decoded, never encoded
again.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from api.bulk import Blob
from api.errors import job_error
from api.store import ApiStore, Place
from shared.errors import JobNotFinished, ResultExpired
from shared.jobs.record import JobRecord
from shared.jobs.status import Status

JOBS_PATH: Final = "/v1/images/jobs"
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
        "warnings": warnings_of(place),
    }


def warnings_of(place: Place | None) -> list[dict[str, str]]:
    """Return what the caller of a job should know of how it stands."""
    return [WAITING_FOR_NEWER] if place and place.newer else []


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


async def describe(store: ApiStore, record: JobRecord) -> dict[str, Any]:
    """Return the public form of a job with its place in the queue."""
    return job_object(record, None if record.status.terminal else await store.place(record.id))


async def job_now(store: ApiStore, job_id: str, owner: str) -> dict[str, Any]:
    """Return the public form of an owner's job as it is now.

    Raises:
        JobNotFound: there is none, or it is somebody else's.
    """
    return job_object(*await store.read_placed(job_id, owner))


def result_response(record: JobRecord, images: Sequence[Blob], headers: dict[str, str]) -> Response:
    """Return the documented 200 body of a finished job, or raise the way it ended.

    Args:
        record: the job.
        images: the base64 of its images; none of a job that did not succeed.
        headers: of the response.

    Raises:
        JobNotFinished: it has not ended.
        JobFailed: it ended without a picture.
        ResultExpired: its time to live has passed.
    """
    if not record.status.terminal:
        raise JobNotFinished(job_id=record.id)
    if record.status is not Status.SUCCEEDED:
        raise job_error(record.error, record.id)
    if len(images) < record.params.n:
        raise ResultExpired
    return Pieces(splice(record, images), headers)


class Pieces(Response):
    """JSON that is sent in the pieces that it came in: joining them would copy every picture."""

    def __init__(self, pieces: Sequence[Blob], headers: Mapping[str, str]) -> None:
        self._pieces = pieces
        length = sum(map(len, pieces))
        super().__init__(None, 200, {**headers, "content-length": str(length)}, "application/json")

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def splice(record: JobRecord, images: Sequence[Blob]) -> list[Blob]:
    """Return the documented body around the stored base64, in pieces. The same bytes every time."""
    created = (record.finished_at or record.created_at) // 1000
    usage = json.dumps(record.usage, separators=(",", ":")).encode()
    pieces: list[Blob] = [b'{"created":%d,"data":[{"b64_json":"' % created]
    for image in images:
        pieces += [image, b'"},{"b64_json":"']
    pieces[-1] = b'"}],"usage":%s}' % usage
    return pieces


def _seconds(instant_ms: int | None) -> int | None:
    return None if instant_ms is None else instant_ms // 1000
