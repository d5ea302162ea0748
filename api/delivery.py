"""How a job and its result leave the service.

A result is spliced: the stored base64 goes between constant pieces of JSON, never decoded, never encoded
again.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from api.bulk import Blob
from api.cancelling import cancel_all
from api.errors import error_response, job_error, json_response
from api.store import ApiStore, Place
from shared.errors import DarkroomError, JobNotFinished, ResultExpired
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


async def describe(store: ApiStore, record: JobRecord) -> dict[str, Any]:
    """Return the public form of a job with its place in the queue."""
    return job_object(record, None if record.status.terminal else await store.place(record.id))


def job_response(record: JobRecord, place: Place | None, headers: Mapping[str, str] = NO_HEADERS) -> Response:
    """Return a job as it is now; ``place`` is given for one that has not ended."""
    return json_response(job_object(record, place), 200, {**headers, **job_headers(record, place)})


class Recipient(Protocol):
    """Who is told how far an answer has come: one of the two, once."""

    async def answered(self) -> None:
        """All but the last byte is sent."""

    def left(self) -> None:
        """The caller went before that, or there is no picture."""


def result_response(
    record: JobRecord,
    images: Sequence[Blob],
    *,
    detailed: bool,
    headers: Mapping[str, str] = NO_HEADERS,
    recipient: Recipient | None = None,
) -> Response:
    """Return the documented 200 body of a finished job, or the error that says why there is none.

    Args:
        record: the job.
        images: the base64 of its images; none of a job that did not succeed.
        detailed: whether the body says of what kind they are.
        headers: of the response, beside those of the job.
        recipient: is told how far it comes.
    """
    error = _why_none(record, images)
    if error is None:
        pieces = splice(record, images, detailed=detailed)
        return Pieces(pieces, {**headers, **job_headers(record)}, recipient)
    if recipient is not None:
        recipient.left()
    return error_response(error, job_headers(record))


def _why_none(record: JobRecord, images: Sequence[Blob]) -> DarkroomError | None:
    """Return why a job has no result; None where it has one."""
    if not record.status.terminal:
        return JobNotFinished(job_id=record.id)
    if record.status is not Status.SUCCEEDED:
        return job_error(record.error, record.id)
    return None if len(images) >= record.params.n else ResultExpired()


class Pieces(Response):
    """JSON that is sent in the pieces that it came in: joining them would copy every picture."""

    def __init__(
        self, pieces: Sequence[Blob], headers: Mapping[str, str], recipient: Recipient | None = None
    ) -> None:
        self._pieces = pieces
        self._recipient = recipient
        length = sum(map(len, pieces))
        super().__init__(None, 200, {**headers, "content-length": str(length)}, "application/json")

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        *most, last = self._pieces
        if self._recipient is None:
            await _send_all(most, send)
        elif not await _sent_to(self._recipient, most, receive, send):
            return
        await send({"type": "http.response.body", "body": last})


async def _sent_to(recipient: Recipient, pieces: Iterable[Blob], receive: Receive, send: Send) -> bool:
    """Send the pieces and tell the recipient how that went; whether its caller is still there."""
    leaving = asyncio.ensure_future(receive())
    taken = False
    try:
        await _send_all(pieces, send)
        # Nothing, but it waits until what was sent before has gone out.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        taken = not leaving.done()
    finally:
        await cancel_all([leaving])
        if not taken:
            recipient.left()
    if taken:
        await recipient.answered()
    return taken


async def _send_all(pieces: Iterable[Blob], send: Send) -> None:
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})


def splice(record: JobRecord, images: Sequence[Blob], *, detailed: bool = False) -> list[Blob]:
    """Return the documented body around the stored base64, in pieces. The same bytes every time.

    Args:
        record: the job.
        images: the base64 of its images.
        detailed: whether to say of what kind they are, in the optional members of the clients' type.
    """
    created = (record.finished_at or record.created_at) // 1000
    end = {**(kind(record) if detailed else {}), "usage": record.usage}
    pieces: list[Blob] = [b'{"created":%d,"data":[{"b64_json":"' % created]
    for image in images:
        pieces += [image, b'"},{"b64_json":"']
    pieces[-1] = b'"}],%s' % json.dumps(end, separators=(",", ":")).encode()[1:]
    return pieces


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
    return None if instant_ms is None else instant_ms // 1000
