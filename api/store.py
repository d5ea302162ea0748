"""The API's side of the job store: submit, read, cancel, list. Asynchronous.

Ownership is checked here on every read: a job of another owner does not exist.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import redis
import redis.asyncio as aioredis

from api.bulk import Blob
from api.link import Form, packed
from api.reach import Reach
from api.submission import Submission
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
class Presence:
    """When each model's workers were last heard of, and Redis's clock and memory at that moment.

    Instants are in ms; ``memory_share`` is the part of maxmemory in use, 0 where there is no maxmemory.
    """

    last_seen_at: Mapping[str, int]
    now: int
    memory_share: float = 0.0

    def age_s(self, model: str) -> float:
        """Seconds since a worker that serves ``model`` gave a sign of life; infinite where none ever did."""
        seen = self.last_seen_at.get(model)
        return float("inf") if seen is None else max(0.0, (self.now - seen) / 1000)


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

_RECORD: Final = Form("HMGET", *FIELDS)
_RESULT: Final = Form("HGETALL")


class ApiStore:
    """The job store as the API uses it."""

    def __init__(self, client: aioredis.Redis, settings: JobSettings, prefix: str) -> None:
        # redis-py types a reply as everything any protocol and decoding could make of it.
        self._client: Any = client
        self._reach = Reach(client.connection_pool, prefix)
        self._settings = settings
        self.keys = Keys(prefix)

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
            StoreUnavailable: Redis is away.
        """
        asked = job.arguments(self._settings, self.keys)
        reply, *seen = await self._reach.ask(
            self._reach.command("submit", asked), *(self._seen(job.id) if tell else ())
        )
        if isinstance(reply, redis.exceptions.NoScriptError):
            reply, seen = await self._reach.tell("submit", asked), []
        job_id, made, ring = _checked(reply)
        now = _placed(job.id, job.owner, *seen) if seen and made else None
        return Submitted(job_id.decode(), made=bool(made), ring=bool(ring), now=now)

    async def read(self, job_id: str, owner: str) -> JobRecord:
        """Return a job of this owner.

        Raises:
            JobNotFound: there is none, or it is somebody else's.
        """
        (values,) = await self._reach.ask(_RECORD.packed(self.keys.job(job_id)))
        return _owned(job_id, owner, values)

    async def read_placed(self, job_id: str, owner: str) -> tuple[JobRecord, Place | None]:
        """Return a job of this owner and, where it has not ended, where it stands. One round trip.

        Raises:
            JobNotFound: there is none, or it is somebody else's.
        """
        placed = _placed(job_id, owner, *await self._reach.ask(*self._seen(job_id)))
        # A server that does not know the script yet is told by whoever asks for it alone.
        return placed or (await self.read(job_id, owner), await self.place(job_id))

    async def statuses(self, job_ids: list[str]) -> list[tuple[Status, int] | None]:
        """Return the status and attempt of each job, None where it is gone. One round trip."""
        rows = await self._reach.ask(
            *(packed("HMGET", self.keys.job(i), "status", "attempt") for i in job_ids)
        )
        return [(Status(s.decode()), int(a)) if s is not None else None for s, a in rows]

    async def read_with_result(self, job_id: str, owner: str) -> tuple[JobRecord, list[Blob]]:
        """Return a job of this owner and the base64 of its images, none where there are none. One round trip.

        Raises:
            JobNotFound: there is none, or it is somebody else's.
        """
        record, result = await self._reach.ask_large(
            _RECORD.packed(self.keys.job(job_id)), _RESULT.packed(self.keys.result(job_id))
        )
        return _owned(job_id, owner, record), _in_order(result)

    async def images(self, job_id: str, n: int) -> list[Blob]:
        """Return the base64 of each image of a job.

        Raises:
            ResultExpired: its time to live has passed.
        """
        (result,) = await self._reach.ask_large(_RESULT.packed(self.keys.result(job_id)))
        images = _in_order(result)
        if len(images) < n:
            raise ResultExpired
        return images

    async def preview_names(self, job_id: str) -> set[PreviewName]:
        """Return which previews of a job there are at the moment."""
        names = await self._reach.call(lambda: self._client.hkeys(self.keys.previews(job_id)))
        pairs = (name.decode().split(".") for name in names)
        return {(int(image), int(partial)) for image, partial in pairs}

    async def preview(self, job_id: str, name: PreviewName) -> bytes | None:
        """Return the base64 of a preview; None where it has expired."""
        image, partial = name
        file: bytes | None = await self._reach.call(
            lambda: self._client.hget(self.keys.previews(job_id), f"{image}.{partial}")
        )
        return file

    async def place(self, job_id: str) -> Place:
        """Return where a job stands in its queue."""
        return _place(await self._reach.run("place", **self._place_of(job_id)))

    def _place_of(self, job_id: str) -> dict[str, scripts.Argument]:
        return {
            "job": self.keys.job(job_id),
            "id": job_id,
            "live_ms": int(self._settings.lease_s * 1000),
        }

    def _seen(self, job_id: str) -> tuple[bytes, bytes]:
        return _RECORD.packed(self.keys.job(job_id)), self._reach.command("place", self._place_of(job_id))

    async def hold(self, job_ids: list[str], holder: str) -> None:
        """Say that callers of this process still wait for these jobs."""
        await self._reach.run("hold", holder=holder, hold_ms=self._settings.hold_ms, ids=json.dumps(job_ids))

    async def release(self, job_id: str, holder: str, *, grace_ms: int, told: bool = False) -> None:
        """Say that no caller of this process waits for a job any more.

        Args:
            job_id: the job.
            holder: this process.
            grace_ms: how long a retry may still attach; 0 cancels at once, -1 never.
            told: the caller knows the job's id.
        """
        await self._reach.run("release", id=job_id, holder=holder, grace_ms=grace_ms, told=int(told))

    async def answer(self, job_id: str, holder: str, *, last: bool) -> None:
        """Say that a caller is about to have the last byte of a job's picture: no retry gets it any more.

        Args:
            job_id: the job.
            holder: this process.
            last: it holds no other call for the job.
        """
        await self._reach.run("answer", id=job_id, holder=holder, last=int(last))

    async def refuse(self, owner: str, body_digest: str) -> None:
        """Note that a call of this owner with this body was refused."""
        await self._reach.run(
            "refuse", owner=owner, body_digest=body_digest, most=_MOST_REFUSED, memory_ms=_REFUSED_MS
        )

    async def cancel(self, job_id: str, owner: str) -> Status:
        """Cancel a job of this owner; a finished one is left as it is.

        Returns:
            Its status now.

        Raises:
            JobNotFound: there is none, or it is somebody else's.
        """
        (status,) = await self._reach.run("cancel", job=self.keys.job(job_id), id=job_id, owner=owner)
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
            rank = await self._reach.call(lambda: self._client.zrevrank(history, after))
            if rank is None:
                raise JobNotFound(param="after")
            start = rank + 1
        records: list[JobRecord] = []
        while len(records) <= limit:
            # Ids whose record has expired are passed over, so a page may take more than one round.
            ids = await self._reach.call(partial(self._client.zrevrange, history, start, start + limit))
            if not ids:
                break
            start += len(ids)
            records += await self._read_many([job_id.decode() for job_id in ids])
        return records[:limit], len(records) > limit

    async def presence(self) -> Presence:
        """Return when each model's workers were last heard of."""

        async def fetch() -> Presence:
            models = [name.decode() for name in await self._client.smembers(self.keys.models)]
            pipe = self._client.pipeline(transaction=False)
            pipe.time()
            pipe.info("memory")
            for model in models:
                pipe.zrevrange(self.keys.serving(model), 0, 0, withscores=True)
            (seconds, micros), memory, *newest = await pipe.execute()
            seen = {m: int(rows[0][1]) for m, rows in zip(models, newest, strict=True) if rows}
            most = int(memory.get("maxmemory", 0))
            share = int(memory["used_memory"]) / most if most else 0.0
            return Presence(seen, int(seconds) * 1000 + int(micros) // 1000, share)

        return await self._reach.call(fetch)

    async def api_key(self, key_id: str) -> tuple[int, bytes | None]:
        """Return how many API keys there are, and what is kept of this one."""
        name = self.keys.api_keys
        count, words = await self._reach.ask(packed("HLEN", name), packed("HGET", name, key_id))
        return count, words

    async def count(self, subject: str, limit: int, window_ms: int) -> tuple[bool, int, int, int]:
        """Count a request against a limit.

        Args:
            subject: whose.
            limit: requests a window.
            window_ms: the window.

        Returns:
            Whether it is allowed, how many are left, ms until all are there again, ms until one is.
        """
        allowed, left, whole_ms, wait_ms = await self._reach.run(
            "rate", rate=self.keys.rate(subject), limit=limit, window_ms=window_ms
        )
        return bool(allowed), left, whole_ms, wait_ms

    async def usage(self, subject: str, days: range) -> list[dict[str, int]]:
        """Return what was used on each day (counted from 1970), by ``model:what``."""
        rows = await self.pipelined(
            lambda pipe: [pipe.hgetall(self.keys.usage(subject, day)) for day in days]
        )
        return [{name.decode(): int(amount) for name, amount in row.items()} for row in rows]

    async def pipelined(self, fill: Callable[[Any], object]) -> list[Any]:
        """Return the replies to the commands that ``fill`` puts into a pipeline. One round trip.

        Raises:
            StoreUnavailable: Redis is away.
        """

        async def fetch() -> list[Any]:
            pipe = self._client.pipeline(transaction=False)
            fill(pipe)
            return list(await pipe.execute())

        return await self._reach.call(fetch)

    def close(self) -> None:
        """Close what this store opened itself; the client is its maker's."""
        self._reach.close()

    async def _read_many(self, job_ids: list[str]) -> list[JobRecord]:
        async def fetch() -> list[Any]:
            pipe = self._client.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hmget(self.keys.job(job_id), list(FIELDS))
            return list(await pipe.execute())

        rows = await self._reach.call(fetch)
        parsed = (parse(i, dict(zip(FIELDS, row, strict=True))) for i, row in zip(job_ids, rows, strict=True))
        return [record for record in parsed if record is not None]


def _in_order(result: Sequence[Any]) -> list[Blob]:
    """Return the images of a result, whose fields are their places."""
    images = {int(place): image for place, image in zip(result[::2], result[1::2], strict=True)}
    return [images[place] for place in sorted(images)]


def _checked(reply: object) -> list[Any]:
    return scripts.checked(reply)


def _owned(job_id: str, owner: str, values: Sequence[Blob | None]) -> JobRecord:
    record = parse(job_id, dict(zip(FIELDS, values, strict=True)))
    if record is None or record.owner != owner:
        raise JobNotFound
    return record


def _placed(
    job_id: str, owner: str, values: Sequence[Blob | None], reply: object
) -> tuple[JobRecord, Place | None] | None:
    """Return a job and, where it has not ended, where it stands; None where that could not be said."""
    record = _owned(job_id, owner, values)
    if record.status.terminal:
        return record, None
    if isinstance(reply, redis.exceptions.NoScriptError):
        return None
    return record, _place(_checked(reply))


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
