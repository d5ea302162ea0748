"""How a result leaves the service.

It is spliced: the stored base64 goes between constant pieces of JSON, never decoded, never encoded again.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from api.cancelling import cancel_all
from api.errors import error_response, job_error
from api.jobs.body import NO_HEADERS, job_headers, kind
from shared.errors import DarkroomError, JobNotFinished, ResultExpired
from shared.jobs.record import JobRecord
from shared.jobs.status import Status


class Recipient(Protocol):
    """Who is told how far an answer has come: one of the two, once."""

    async def answered(self) -> None:
        """All but the last byte is sent."""

    def left(self) -> None:
        """The caller went before that, or there is no picture."""


def result_response(
    record: JobRecord,
    images: Sequence[bytes],
    *,
    detailed: bool,
    headers: Mapping[str, str] = NO_HEADERS,
    recipient: Recipient | None = None,
) -> Response:
    """Return the documented 200 body of a finished job, or the error that says why there is none.

    Args:
        record: the job.
        images: the base64 of its images, or their addresses; none of a job that did not succeed.
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


def _why_none(record: JobRecord, images: Sequence[bytes]) -> DarkroomError | None:
    """Return why a job has no result; None where it has one."""
    if not record.status.terminal:
        return JobNotFinished(job_id=record.id)
    if record.status is not Status.SUCCEEDED:
        return job_error(record.error, record.id)
    return None if len(images) >= record.params.n else ResultExpired()


class Pieces(Response):
    """JSON that is sent in the pieces that it came in: joining them would copy every picture."""

    def __init__(
        self, pieces: Sequence[bytes], headers: Mapping[str, str], recipient: Recipient | None = None
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


async def _sent_to(recipient: Recipient, pieces: Iterable[bytes], receive: Receive, send: Send) -> bool:
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


async def _send_all(pieces: Iterable[bytes], send: Send) -> None:
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})


def splice(record: JobRecord, images: Sequence[bytes], *, detailed: bool = False) -> list[bytes]:
    """Return the documented body around the stored base64, in pieces. The same bytes every time.

    Args:
        record: the job.
        images: the base64 of its images, or their addresses.
        detailed: whether to say of what kind they are, in the optional members of the clients' type.
    """
    created = (record.finished_at or record.created_at) // 1000
    end = {**(kind(record) if detailed else {}), "usage": record.usage}
    member = b"url" if record.params.stored else b"b64_json"
    pieces: list[bytes] = [b'{"created":%d,"data":[{"%b":"' % (created, member)]
    for image in images:
        pieces += [image, b'"},{"%b":"' % member]
    pieces[-1] = b'"}],%s' % json.dumps(end, separators=(",", ":")).encode()[1:]
    return pieces
