"""The API's side of the job store: submit, read, cancel, list. Asynchronous.

Ownership is checked here on every read: a job of another owner does not exist.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

from api.provided import provided
from api.store.client import StoreClient
from api.store.submission import Submission
from shared.errors import JobNotFound, ResultExpired
from shared.jobs import scripts
from shared.jobs.keys import Keys
from shared.jobs.record import FIELDS, JobRecord, parse
from shared.jobs.status import Status
from shared.settings import JobSettings

PreviewName = tuple[int, int]
"""Which image of a job, and which preview of it, both from 0."""


@dataclass(frozen=True)
class Place:
    """Where a queued job stands: ``ahead`` is None where it is not queued.

    ``pace_ms`` and ``latency_ms`` are per unit of cost: of a worker's time, and from start to end.
    ``workers`` are those that can read it; ``newer``: none can, so it waits for one of a later version.
    """

    ahead: int | None
    work_ahead: int
    pace_ms: float | None
    workers: int
    latency_ms: float | None = None
    newer: bool = False


@dataclass(frozen=True)
class Submitted:
    """What became of a submission.

    Attributes:
        job_id: the job, or the earlier one that this call repeats.
        made: whether it was made now.
        ring: whether a worker may be idle, so that it is to be rung.
        now: the job and where it stands, where that was asked for and it was made.
    """

    job_id: str
    made: bool
    ring: bool
    now: tuple[JobRecord, Place | None] | None = None


# Longer than a client waits for its next try: Retry-After says 60 s at most.
_REFUSED_MS: Final = 150_000
_MOST_REFUSED: Final = 1000


class JobStore:
    """Jobs and their results.

    Args:
        client: the server.
        settings: those of jobs.

    Every method raises StoreUnavailable where Redis is away.
    """

    def __init__(self, client: StoreClient, settings: JobSettings) -> None:
        self._client = client
        self._settings = settings

    @property
    def keys(self) -> Keys:
        """The names of what is stored."""
        return self._client.keys

    async def submit(self, job: Submission, *, tell: bool = False) -> Submitted:
        """Make a job, or find the one that this call repeats. One round trip.

        Args:
            job: the job.
            tell: return also how it stands.

        Raises:
            NoWorker: nobody serves the model.
            QueueFull: too much is queued.
            TooManyJobs: the owner has too many unfinished jobs.
            IdempotencyMismatch: the Idempotency-Key was used with another body.
        """

        def fill(pipe: Any) -> None:  # noqa: ANN401
            self._client.call(pipe, "submit", job.arguments(self._settings, self.keys))
            if tell:
                self._ask_placed(pipe, job.id)

        reply, *seen = await self._client.ask(fill)
        job_id, made, ring = _checked(reply)
        now = _placed(job.id, job.owner, *seen) if seen and made else None
        return Submitted(job_id.decode(), made=bool(made), ring=bool(ring), now=now)

    async def read(self, job_id: str, owner: str) -> JobRecord:
        """Return a job of this owner.

        Raises:
            JobNotFound: there is none, or it is somebody else's.
        """
        (values,) = await self._client.ask(lambda pipe: self._ask_record(pipe, job_id))
        return _owned(job_id, owner, values)

    async def read_placed(self, job_id: str, owner: str) -> tuple[JobRecord, Place | None]:
        """Return a job of this owner and, where it has not ended, where it stands. One round trip.

        Raises:
            JobNotFound: there is none, or it is somebody else's.
        """
        return _placed(job_id, owner, *await self._client.ask(lambda pipe: self._ask_placed(pipe, job_id)))

    async def statuses(self, job_ids: Sequence[str]) -> list[tuple[Status, int] | None]:
        """Return the status and attempt of each job, None where it is gone. One round trip."""
        rows = await self._client.ask(
            lambda pipe: [pipe.hmget(self.keys.job(i), ["status", "attempt"]) for i in job_ids]
        )
        return [(Status(s.decode()), int(a)) if s is not None else None for s, a in rows]

    async def read_with_result(self, job_id: str, owner: str) -> tuple[JobRecord, list[bytes]]:
        """Return a job of this owner and its images, none where there are none. One round trip.

        They are base64, or names in the store of results where the job's params say so.

        Raises:
            JobNotFound: there is none, or it is somebody else's.
        """

        def fill(pipe: Any) -> None:  # noqa: ANN401
            self._ask_record(pipe, job_id)
            self._ask_images(pipe, job_id)

        record, *images = await self._client.ask(fill)
        return _owned(job_id, owner, record), _in_order(*images)

    async def images(self, job_id: str, n: int) -> list[bytes]:
        """Return each image of a job: base64, or a name in the store of results.

        Raises:
            ResultExpired: its time to live has passed.
        """
        images = _in_order(*await self._client.ask(lambda pipe: self._ask_images(pipe, job_id)))
        if len(images) < n:
            raise ResultExpired
        return images

    async def preview_names(self, job_id: str) -> set[PreviewName]:
        """Return which previews of a job there are at the moment."""
        (names,) = await self._client.ask(lambda pipe: pipe.hkeys(self.keys.previews(job_id)))
        pairs = (name.decode().split(".") for name in names)
        return {(int(image), int(partial)) for image, partial in pairs}

    async def preview(self, job_id: str, name: PreviewName) -> bytes | None:
        """Return the base64 of a preview; None where it has expired."""
        image, partial = name
        file: bytes | None
        (file,) = await self._client.ask(
            lambda pipe: pipe.hget(self.keys.previews(job_id), f"{image}.{partial}")
        )
        return file

    async def place(self, job_id: str) -> Place:
        """Return where a job stands in its queue."""
        return _place(await self._client.run("place", **self._place_of(job_id)))

    async def hold(self, job_ids: list[str], holder: str) -> None:
        """Say that callers of this process still wait for these jobs."""
        await self._client.run("hold", holder=holder, hold_ms=self._settings.hold_ms, ids=json.dumps(job_ids))

    async def release(self, job_id: str, holder: str, *, grace_ms: int, told: bool = False) -> None:
        """Say that no caller of this process waits for a job any more.

        Args:
            job_id: the job.
            holder: this process.
            grace_ms: how long a retry may still attach; 0 cancels at once, -1 never.
            told: the caller knows the job's id.
        """
        await self._client.run("release", id=job_id, holder=holder, grace_ms=grace_ms, told=int(told))

    async def answer(self, job_id: str, holder: str, *, last: bool) -> None:
        """Say that a caller is about to have the last byte of a job's picture: no retry gets it any more.

        Args:
            job_id: the job.
            holder: this process.
            last: it holds no other call for the job.
        """
        await self._client.run("answer", id=job_id, holder=holder, last=int(last))

    async def refuse(self, owner: str, body_digest: str) -> None:
        """Note that a call of this owner with this body was refused."""
        await self._client.run(
            "refuse", owner=owner, body_digest=body_digest, most=_MOST_REFUSED, memory_ms=_REFUSED_MS
        )

    async def cancel(self, job_id: str, owner: str) -> Status:
        """Cancel a job of this owner; a finished one is left as it is.

        Returns:
            Its status now.

        Raises:
            JobNotFound: there is none, or it is somebody else's.
        """
        (status,) = await self._client.run("cancel", job=self.keys.job(job_id), id=job_id, owner=owner)
        return Status(status.decode())

    async def page(self, owner: str, *, limit: int, after: str | None) -> tuple[list[JobRecord], bool]:
        """Return an owner's jobs, newest first, and whether there are more.

        Args:
            owner: whose jobs.
            limit: most jobs to return.
            after: the id of the last job of the page before.

        Raises:
            JobNotFound: ``after`` is not a job of this owner.
        """
        history = self.keys.history(owner)
        start = 0
        if after is not None:
            (rank,) = await self._client.ask(lambda pipe: pipe.zrevrank(history, after))
            if rank is None:
                raise JobNotFound(param="after")
            start = rank + 1
        records: list[JobRecord] = []
        while len(records) <= limit:
            # Ids whose record has expired are passed over, so a page may take more than one round.
            (ids,) = await self._client.ask(partial(_ask_page, history=history, first=start, most=limit))
            if not ids:
                break
            start += len(ids)
            records += await self._read_many([job_id.decode() for job_id in ids])
        return records[:limit], len(records) > limit

    async def _read_many(self, job_ids: Sequence[str]) -> list[JobRecord]:

        def fill(pipe: Any) -> None:  # noqa: ANN401
            for job_id in job_ids:
                self._ask_record(pipe, job_id)

        rows = await self._client.ask(fill)
        parsed = (_parsed(job_id, row) for job_id, row in zip(job_ids, rows, strict=True))
        return [record for record in parsed if record is not None]

    def _ask_record(self, pipe: Any, job_id: str) -> None:  # noqa: ANN401
        pipe.hmget(self.keys.job(job_id), FIELDS)

    def _ask_images(self, pipe: Any, job_id: str) -> None:  # noqa: ANN401
        """Ask for both: a version that knows no names finds no image, and takes none for base64."""
        pipe.hgetall(self.keys.result(job_id))
        pipe.hgetall(self.keys.stored(job_id))

    def _ask_placed(self, pipe: Any, job_id: str) -> None:  # noqa: ANN401
        self._ask_record(pipe, job_id)
        self._client.call(pipe, "place", self._place_of(job_id))

    def _place_of(self, job_id: str) -> dict[str, scripts.Argument]:
        return {
            "job": self.keys.job(job_id),
            "id": job_id,
            "live_ms": int(self._settings.lease_s * 1000),
        }


def _ask_page(pipe: Any, *, history: str, first: int, most: int) -> None:  # noqa: ANN401
    pipe.zrevrange(history, first, first + most)


def _checked(reply: object) -> list[Any]:
    return scripts.checked(reply)


def _in_order(result: Mapping[bytes, bytes], stored: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the images of a result, whose fields are their places."""
    images = result or stored
    return [images[place] for place in sorted(images, key=int)]


def _parsed(job_id: str, values: Iterable[bytes | None]) -> JobRecord | None:
    return parse(job_id, dict(zip(FIELDS, values, strict=True)))


def _owned(job_id: str, owner: str, values: Iterable[bytes | None]) -> JobRecord:
    record = _parsed(job_id, values)
    if record is None or record.owner != owner:
        raise JobNotFound
    return record


def _placed(
    job_id: str, owner: str, values: Iterable[bytes | None], reply: object
) -> tuple[JobRecord, Place | None]:
    """Return a job and, where it has not ended, where it stands."""
    record = _owned(job_id, owner, values)
    return record, None if record.status.terminal else _place(_checked(reply))


def _place(reply: list[Any]) -> Place:
    ahead, work, pace, workers, latency, newer = reply
    return Place(
        ahead=None if ahead < 0 else ahead,
        work_ahead=work,
        pace_ms=float(pace) if pace else None,
        workers=workers,
        latency_ms=float(latency) if latency else None,
        newer=bool(newer),
    )


JobStoreDep = Annotated[JobStore, provided("jobs")]
