"""What a line of the output or error file says."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pybase64 import b64encode

from api.errors import job_error, shown, wire
from api.jobs.result import splice
from api.objects.links import Links
from api.store.batches import BatchRecord, BatchStatus
from api.store.jobs import JobStore
from courier.batches.lines import Line, job_id_of
from shared.errors import DarkroomError, JobNotFound, ResultExpired
from shared.jobs.record import JobRecord
from shared.jobs.status import Status
from shared.objects import ObjectStore

_NOT_DRAWN: Final = {
    BatchStatus.EXPIRED: ("batch_expired", "This request was not done before the batch expired."),
    BatchStatus.CANCELLED: ("batch_cancelled", "The batch was cancelled before this request was done."),
}
_LOST: Final = ("result_expired", "What became of this request is not known any more.")


@dataclass(frozen=True)
class Result:
    """How a line ended.

    Attributes:
        pieces: its line in the output or error file.
        completed: whether it was drawn.
        tokens: what it used: of the input, of the output.
        names: of its pictures in the store of objects.
        kept: whether those stay, since the line has their addresses.
    """

    pieces: Sequence[bytes]
    completed: bool = False
    tokens: tuple[int, int] = (0, 0)
    names: Sequence[str] = field(default_factory=tuple)
    kept: bool = False


@dataclass(frozen=True)
class Results:
    """Tells how lines ended.

    Attributes:
        jobs: their jobs.
        objects: their pictures.
        links: addresses of those.
        detailed: whether bodies say of what kind they are.
    """

    jobs: JobStore
    objects: ObjectStore
    links: Links
    detailed: bool

    async def of(self, batch: BatchRecord, line: Line, refused: str | None, expires: int) -> Result:
        """Return how a line ended.

        Args:
            batch: its batch.
            line: the line.
            refused: what a call would have been answered, where it got no job.
            expires: until when its pictures can be fetched, unix seconds.

        Raises:
            ObjectUnavailable: its pictures cannot be read now.
            StoreUnavailable: Redis is away.
        """
        document = json.loads(line.text)
        head = _Head(job_id_of(batch.id, line.number), document["custom_id"])
        try:
            record, images = await self.jobs.read_with_result(head.job_id, batch.owner)
        except JobNotFound:
            return head.refused(json.loads(refused)) if refused else _not_drawn(head, batch)
        if record.status is Status.SUCCEEDED:
            return await self._drawn(head, batch, record, images, document["body"], expires)
        if record.status is Status.FAILED and not _too_late(record, batch):
            return head.error(job_error(record.error, record.id), record.request_id)
        if record.status is Status.CANCELLED and batch.outcome is BatchStatus.COMPLETED:
            return head.error(job_error(record.error, record.id), record.request_id)
        return _not_drawn(head, batch)

    async def _drawn(
        self,
        head: "_Head",
        batch: BatchRecord,
        record: JobRecord,
        images: Sequence[bytes],
        body: dict[str, Any],
        expires: int,
    ) -> Result:
        names = [image.decode() for image in images]
        if len(names) < record.params.n:
            return head.error(ResultExpired(), record.request_id)
        by_address = str(body.get("response_format") or "").strip().lower() == "url"
        try:
            if by_address:
                base = batch.words("base") or ""
                shown_ = [(await self.links.address(name, expires, base)).encode() for name in names]
            else:
                shown_ = [b64encode(await asyncio.to_thread(self.objects.read, name)) for name in names]
        except FileNotFoundError:
            return head.error(ResultExpired(), record.request_id)
        told = record if by_address else replace(record, params=_in_base64(record))
        usage = record.usage or {}
        return Result(
            head.around(200, record.request_id, splice(told, shown_, detailed=self.detailed)),
            completed=True,
            tokens=(int(usage.get("input_tokens", 0)), int(usage.get("output_tokens", 0))),
            names=names,
            kept=by_address,
        )


@dataclass(frozen=True)
class _Head:
    """What every line says first."""

    job_id: str
    custom_id: str

    def around(self, status: int, request_id: str, body: Sequence[bytes]) -> list[bytes]:
        """Return a line with an answer, in pieces."""
        response = {"status_code": status, "request_id": request_id}
        start = json.dumps({"id": f"batch_req_{self.job_id}", "custom_id": self.custom_id})[:-1]
        return [f'{start}, "response": {json.dumps(response)[:-1]}, "body": '.encode(), *body, _END]

    def error(self, error: DarkroomError, request_id: str) -> Result:
        """Return the line of one of our errors."""
        return self.refused({"status": wire(type(error)).status, "body": shown(error)}, request_id)

    def refused(self, answer: dict[str, Any], request_id: str = "") -> Result:
        """Return the line of an answer that is an error."""
        named = request_id or f"req_{self.job_id}"
        return Result(self.around(answer["status"], named, [json.dumps(answer["body"]).encode()]))


_END: Final = b'}, "error": null}\n'


def _not_drawn(head: _Head, batch: BatchRecord) -> Result:
    code, message = _NOT_DRAWN.get(batch.outcome, _LOST)
    line = {
        "id": f"batch_req_{head.job_id}",
        "custom_id": head.custom_id,
        "response": None,
        "error": {"code": code, "message": message},
    }
    return Result([json.dumps(line).encode() + b"\n"])


def _too_late(record: JobRecord, batch: BatchRecord) -> bool:
    late = (record.error or {}).get("code") == "deadline_exceeded"
    return late and batch.outcome is BatchStatus.EXPIRED


def _in_base64(record: JobRecord) -> Any:  # noqa: ANN401 - Params
    return record.params.model_copy(update={"stored": False})
