"""Jobs that failed because their workers were lost too often: what is known of them, and another chance.

A finished job never changes, so another chance is a new job with the same owner and params.
"""

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import redis

from cli.reaching import reaching
from shared.errors import JobNotFound, StoreUnavailable
from shared.jobs import scripts
from shared.jobs.keys import Keys
from shared.redis_clients import sync_client
from shared.settings import JobSettings, RedisSettings

COPIED: Final = (
    "owner",
    "lane",
    "model",
    "params",
    "cost",
    "weight",
    "request_id",
    "record_ttl_s",
    "result_ttl_s",
    "max_attempts",
)
_PERHAPS: Final = ("needs",)
_EDITED: Final = "input_bytes"
_NO_BOUND: Final = 10**15


@dataclass(frozen=True)
class DeadLetter:
    """One dead job. ``workers`` are those it outlived, in order; empty where its record has expired."""

    job_id: str
    model: str
    died_at: datetime
    workers: tuple[str, ...]


class DeadLetters:
    """The list of dead jobs in Redis."""

    def __init__(self, settings: RedisSettings, jobs: JobSettings) -> None:
        self._client: Any = sync_client(settings)
        self._keys = Keys(settings.prefix)
        self._jobs = jobs

    def newest(self, limit: int) -> list[DeadLetter]:
        """Return dead jobs, the newest first.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        with reaching():
            return [self._letter(*entry) for entry in self._client.xrevrange(self._keys.dead, count=limit)]

    def requeue(self, job_id: str) -> str:
        """Submit a dead job's work again and strike it off the list; return the new job's id.

        Raises:
            JobNotFound: it is not on the list, its record has expired, or its pictures are gone.
            StoreUnavailable: Redis cannot be reached.
        """
        with reaching():
            return self._requeue(job_id)

    def _requeue(self, job_id: str) -> str:
        listed = [
            entry
            for entry, values in self._client.xrange(self._keys.dead)
            if values[b"id"] == job_id.encode()
        ]
        values = self._client.hmget(self._keys.job(job_id), (*COPIED, *_PERHAPS))
        if not listed or None in values[: len(COPIED)]:
            message = f"{job_id} is no dead job, or its record has expired"
            raise JobNotFound(message)
        if self._client.hexists(self._keys.job(job_id), _EDITED):
            message = f"{job_id} edited pictures, which are gone with it: its caller has to send them again"
            raise JobNotFound(message)
        found = zip((*COPIED, *_PERHAPS), values, strict=True)
        fields = {name: value.decode() for name, value in found if value is not None}
        script, new_id = scripts.load("submit"), secrets.token_hex(16)
        keys, args = script.bind(self._keys.prefix, self._arguments(new_id, fields))
        try:
            scripts.checked(self._client.register_script(script.source)(keys=keys, args=args))
        except redis.exceptions.OutOfMemoryError as error:
            message = "the job store has no memory left"
            raise StoreUnavailable(message) from error
        self._client.xdel(self._keys.dead, *listed)
        return new_id

    def _arguments(self, job_id: str, fields: dict[str, str]) -> dict[str, scripts.Argument]:
        return {
            "job": self._keys.job(job_id),
            "id": job_id,
            "fields": json.dumps(fields),
            "deadline_ms": int(self._jobs.deadline_s * 1000),
            # An operator's word goes above the bounds for callers.
            "max_queued": _NO_BOUND,
            "max_unfinished": _NO_BOUND,
            "max_wait_ms": _NO_BOUND,
            "max_owed_ms": _NO_BOUND,
            "max_result_bytes": _NO_BOUND,
            "worker_grace_ms": -1,
            "replay_key": "",
            "replay_ttl_ms": 0,
            "retry": 0,
            "body_digest": "",
            "holder": "",
            "keep": 1,
            "hold_ms": 0,
            "live_ms": int(self._jobs.lease_s * 1000),
            "input_bytes": 0,
            "max_input_bytes": _NO_BOUND,
            "max_owner_input_bytes": _NO_BOUND,
        }

    def _letter(self, entry_id: bytes, values: dict[bytes, bytes]) -> DeadLetter:
        job_id = values[b"id"].decode()
        history = json.loads(self._client.hget(self._keys.job(job_id), "history") or "[]")
        return DeadLetter(
            job_id=job_id,
            model=values[b"model"].decode(),
            died_at=datetime.fromtimestamp(int(entry_id.split(b"-")[0]) / 1000, UTC),
            workers=tuple(attempt["worker"] for attempt in history if attempt["outcome"] == "worker_lost"),
        )
