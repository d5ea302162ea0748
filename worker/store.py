"""The worker's side of the job store: claim, renew, report, finish, fail, reap. Blocking.

Each method is one script. A connection error comes out as ``StoreUnavailable``; every call is safe to repeat.
"""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import redis

from shared.job_warnings import JobWarning
from shared.jobs.keys import Keys
from shared.params import PARAMS_VERSION
from shared.script_runner import ScriptRunner, reaching
from shared.settings import JobSettings
from worker.attempt import Attempt, Lapsed

DRAFT_TTL_S = 120
PREVIEW_TTL_S = 120
Again = Literal["never", "retry", "free", "newer"]


@dataclass(frozen=True)
class Claim:
    """What a claim brought.

    ``held_back``: a job waits for a worker that runs nothing else; where none was wanted, any waits that is
    not low.
    """

    attempts: tuple[Attempt, ...]
    held_back: bool


@dataclass(frozen=True)
class ModelLoad:
    """What is queued for a model and needs one version of the params, and how many workers read that.

    ``low``: it tells of jobs of low priority and of the workers that take them, else of all others.
    """

    model: str
    needs: int
    queued: int
    workers: int
    low: bool = False


@dataclass(frozen=True)
class Reaped:
    """What a reaper tick put right."""

    requeued: int
    lost: int
    expired: int
    abandoned: int
    lapsed: tuple[Lapsed, ...]
    loads: tuple[ModelLoad, ...]


class WorkerStore:
    """The job store as a worker uses it. ``reads`` is the version of the params that it can read."""

    def __init__(
        self, client: redis.Redis, settings: JobSettings, prefix: str, *, reads: int = PARAMS_VERSION
    ) -> None:
        self._reads = reads
        self._client = client
        self._settings = settings
        self.keys = Keys(prefix)
        self._run = ScriptRunner(client, prefix).run

    def claim(
        self, model: str, worker: str, *, want: int, low: int = 0, alone: bool, seed: str | None = None
    ) -> Claim:
        """Take up to ``want`` queued jobs of a model that this worker can read, fairly among their owners.

        Args:
            model: the model to draw with.
            worker: who claims.
            want: most jobs to take that are not low.
            low: most low jobs to take, where it gets none that is not low and none waits.
            alone: whether the worker runs nothing else.
            seed: random; give the same one again when the reply to a claim was lost.
        """
        held_back, *rows = self._run(
            "claim",
            model=model,
            worker=worker,
            seed=seed or secrets.token_hex(8),
            lease_ms=self._lease_ms,
            want=want,
            low=low,
            alone=int(alone),
            reads=self._reads,
        )
        return Claim(tuple(Attempt.parse(row) for row in rows), bool(held_back))

    def renew(
        self,
        worker: str,
        models: Sequence[str],
        held: Iterable[tuple[str, str]],
        about: Mapping[str, Any],
        *,
        low: bool = False,
    ) -> dict[str, str]:
        """Send the heartbeat: extend the leases of the held jobs.

        Args:
            worker: who renews.
            models: the models it serves.
            held: (job id, token) of each running attempt.
            about: what the worker says of itself.
            low: whether it takes low jobs too.

        Returns:
            The jobs that are no longer the worker's, each with the reason.
        """
        lost = self._run(
            "renew",
            worker=worker,
            lease_ms=self._lease_ms,
            models=json.dumps(list(models)),
            held=json.dumps([list(pair) for pair in held]),
            about=json.dumps(dict(about)),
            reads=self._reads,
            low=int(low),
        )
        return {row[0].decode(): row[1].decode() for row in lost}

    def progress(self, marks: Iterable[tuple[str, str, int, int]]) -> int:
        """Note how far attempts are: (job id, token, step, steps) each.

        Returns:
            How many were noted; the others are no longer the worker's.
        """
        (noted,) = self._run("progress", marks=json.dumps([list(mark) for mark in marks]))
        return int(noted)

    def preview(self, attempt: Attempt, *, image: int, partial: int, file: bytes) -> None:
        """Keep a preview (base64) for those who follow the job, and tell them.

        Args:
            attempt: the attempt.
            image: which of the job's images, from 0.
            partial: which preview of it, from 0.
            file: the encoded picture as base64.

        Raises:
            LeaseLost: the job is no longer this attempt's.
            JobNotFound: the job is gone.
            StoreUnavailable: Redis is away, or has no memory for it.
        """
        self._run(
            "preview",
            id=attempt.job_id,
            token=attempt.token,
            image=image,
            partial=partial,
            base64=file,
            ttl_s=PREVIEW_TTL_S,
        )

    def inputs(self, attempt: Attempt) -> dict[str, bytes]:
        """Return the files of the pictures that a job begins with, by their names; none where it has ended.

        Raises:
            StoreUnavailable: Redis is away.
        """
        # What redis-py returns is typed for any protocol and decoding.
        files: Any = reaching(lambda: self._client.hgetall(self.keys.input(attempt.job_id)))
        return {name.decode(): file for name, file in files.items()}

    def note_objects(self, attempt: Attempt, names: Sequence[str], *, keep_s: float) -> None:
        """Note the names of an attempt's pictures before they are written to the store of objects.

        Args:
            attempt: the attempt.
            names: of objects.
            keep_s: without a :meth:`finish` they are deleted after this.

        Raises:
            LeaseLost: the job is no longer this attempt's.
            JobNotFound: the job is gone.
        """
        self._run(
            "upload",
            id=attempt.job_id,
            token=attempt.token,
            names=json.dumps(list(names)),
            keep_ms=int(keep_s * 1000),
        )

    def take_expired(self, *, most: int, again_s: float) -> list[str]:
        """Return names of objects that are to be deleted now; they come again until :meth:`deleted` is said.

        Args:
            most: names at a time.
            again_s: how soon they come again.
        """
        names = self._run("sweep", most=most, again_ms=int(again_s * 1000))
        return [name.decode() for name in names]

    def deleted(self, names: Sequence[str]) -> None:
        """Say that these objects are gone."""
        reaching(lambda: self._client.zrem(self.keys.deleting, *names))

    def save_draft(self, attempt: Attempt, images: Sequence[bytes]) -> None:
        """Write an attempt's images (base64 or names) where only :meth:`finish` makes them the job's.

        Raises:
            StoreUnavailable: Redis is away, or has no memory for it.
        """
        draft = self.keys.draft(attempt.job_id, attempt.token)

        def write() -> None:
            pipe = self._client.pipeline(transaction=False)
            # A draft is written whole: what an earlier try may have left in it goes first.
            pipe.delete(draft)
            pipe.hset(draft, mapping={str(index): image for index, image in enumerate(images)})
            pipe.expire(draft, DRAFT_TTL_S)
            pipe.execute()

        reaching(write)

    def finish(  # noqa: PLR0913 -- one a thing that is known of the end
        self,
        attempt: Attempt,
        *,
        images: int,
        usage: Mapping[str, object],
        size_bytes: int = 0,
        device_s: float | None = None,
        warnings: Sequence[JobWarning] = (),
        objects: Sequence[str] = (),
    ) -> int:
        """Make the attempt's draft the job's result.

        Args:
            attempt: the attempt.
            images: how many images the draft holds.
            usage: token counts.
            size_bytes: what the images take in Redis.
            device_s: the attempt's share of its worker's time; by default all the time since it was claimed.
            warnings: what the caller should know of the images.
            objects: the names of the images, where they lie in the store of objects.

        Returns:
            By how many milliseconds the predicted end was missed; -1 where none was predicted.

        Raises:
            LeaseLost: the job is no longer this attempt's.
            DraftIncomplete: the draft expired or was never whole.
            ObjectsDue: the objects may have been deleted.
        """
        keys = self.keys
        (error_ms,) = self._run(
            "finish",
            draft=keys.draft(attempt.job_id, attempt.token),
            result=keys.stored(attempt.job_id) if objects else keys.result(attempt.job_id),
            id=attempt.job_id,
            token=attempt.token,
            images=images,
            usage=json.dumps(dict(usage)),
            bytes=size_bytes,
            device_ms=-1 if device_s is None else int(device_s * 1000),
            warnings=json.dumps([asdict(each) for each in warnings]),
            objects=json.dumps(list(objects)),
        )
        return int(error_ms)

    def fail(self, attempt: Attempt, *, code: str, message: str, again: Again = "never") -> str:
        """End an attempt without a picture.

        Args:
            attempt: the attempt.
            code: public error code.
            message: public error message.
            again: ``never`` fails the job, ``retry`` queues it again while it has attempts left, ``free``
                queues it again without spending one, ``newer`` too, for workers that read more than this one.

        Returns:
            The job's status now.

        Raises:
            LeaseLost: the job is no longer this attempt's.
        """
        (status,) = self._run(
            "fail",
            draft=self.keys.draft(attempt.job_id, attempt.token),
            id=attempt.job_id,
            token=attempt.token,
            code=code,
            message=message,
            again=again,
            reads=self._reads,
        )
        return bytes(status).decode()

    def reap(self) -> Reaped | None:
        """Requeue or fail what lapsed; None where another reaper has just done it."""
        reply = self._run(
            "reap",
            period_ms=int(self._settings.reap_s * 900),
            lease_ms=self._lease_ms,
            gap_ms=max(2000, self._lease_ms * 2 // 3),
            hold_ms=self._settings.hold_ms,
            most=200,
        )
        if not reply:
            return None
        requeued, lost, expired, abandoned, lapsed, *loads = reply
        return Reaped(
            requeued,
            lost,
            expired,
            abandoned,
            tuple(Lapsed.parse(row) for row in lapsed),
            tuple(_load(*load) for load in loads),
        )

    @property
    def _lease_ms(self) -> int:
        return int(self._settings.lease_s * 1000)


def _load(model: bytes, needs: int, queued: int, workers: int, low: int) -> ModelLoad:
    return ModelLoad(model.decode(), needs, queued, workers, bool(low))
