"""Webhooks of calls that are made while everything breaks: a receiver with moods, and what it must have."""

import json
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Self

import redis
from standardwebhooks import Webhook

from shared.jobs.keys import Keys
from shared.webhooks import OPEN, Signing
from tests.receiver import Received, Receiver, hang, slow, status

Records = Mapping[str, Mapping[str, str]]
# How often in a hundred it answers how; to hang for no time is to drop the connection.
_MOODS: Final = ((70, status(200)), (8, slow(0.5)), (8, status(500)), (7, hang(0.5)), (7, hang(0)))
_TAKES: Final = 2
"""So many of them, the first ones, take what is sent."""
_ENDS: Final = frozenset({"succeeded", "failed", "cancelled"})


class WebhookReceiver:
    """Takes, refuses and drops what is sent to it, and keeps all of it.

    Args:
        store: of the service, which signs with a new secret from now on.
        keys: names of its keys.
        seed: decides on the moods.
    """

    def __init__(self, store: redis.Redis, keys: Keys, seed: int) -> None:
        self.taken: set[str] = set()
        """Ids of the events to which it answered that it has them."""
        self._store: Any = store
        self._keys = keys
        self._rng = random.Random(f"{seed}.webhooks")
        self._receiver = Receiver()
        self._receiver.usual = self._reply
        signing = Signing.new(1)
        self.secret: Final = signing.secret
        store.hset(keys.webhook_secrets, OPEN, signing.model_dump_json())
        store.set(keys.open_webhook, 1)

    def __enter__(self) -> Self:
        self._receiver.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._receiver.url

    @property
    def received(self) -> list[Received]:
        """Every request, whatever the answer was."""
        return self._receiver.received

    def waiting(self) -> int:
        """Return how many deliveries are to be tried."""
        return int(self._store.zcard(self._keys.deliveries))

    def problems(self, records: Records) -> list[str]:
        """Return what is not as it must be once all jobs have ended and nothing is to be told any more."""
        found = told_wrongly(records, self.received, self.secret) + untold(records, self.taken)
        left = self.waiting()
        return found + ([f"{left} deliveries are left"] if left else [])

    def _reply(self, handler: BaseHTTPRequestHandler) -> None:
        (mood,) = self._rng.choices(range(len(_MOODS)), [weight for weight, _ in _MOODS])
        _MOODS[mood][1](handler)
        if mood < _TAKES:
            self.taken.add(handler.headers["webhook-id"])


def told_wrongly(records: Records, received: Iterable[Received], secret: str) -> list[str]:
    """Return what was sent that should not have been, or not so.

    Args:
        records: of all jobs, by their ids, as they are in the end.
        received: every request.
        secret: what signs them.
    """
    found = []
    for request in received:
        event = json.loads(request.body)
        job_id = event["data"]["id"]
        wrong = "a wrong signature" if not _is_signed(request, secret) else _wrong(request, event, records)
        found += [f"job {job_id} was told of with {wrong}"] if wrong else []
    return found


def untold(records: Records, taken: Iterable[str]) -> list[str]:
    """Return the jobs whose end was wanted and is not known.

    Args:
        records: of all jobs, by their ids, as they are in the end.
        taken: ids of the events that the receiver has.
    """
    told = set(taken)
    return [
        f"nobody was told of job {job_id}"
        for job_id, record in records.items()
        if f"job.{record['status']}" in _wanted(record) and f"evt_{job_id}" not in told
    ]


def _wrong(request: Received, event: Mapping[str, Any], records: Records) -> str:
    """Return what of an event is not so; empty where all is."""
    job = event["data"]
    record = records.get(job["id"])
    if record is None:
        return "no record"
    if record["status"] not in _ENDS:
        return f"no end: it is {record['status']}"
    ended_at = int(record["finished_at"]) // 1000
    told = {"status": job["status"], "type": event["type"], "id": request.headers["webhook-id"]}
    true = {"status": record["status"], "type": f"job.{record['status']}", "id": f"evt_{job['id']}"}
    if told != true:
        return f"{told}, and not with {true}"
    # Both by the clock of the store; earlier than the end it was another end.
    if event["created_at"] != ended_at or int(request.headers["webhook-timestamp"]) < ended_at:
        return "an end at another time"
    return "" if event["type"] in _wanted(record) else "an end that nobody wanted to hear of"


def _wanted(record: Mapping[str, str]) -> list[str]:
    wanted: list[str] = json.loads(record.get("webhook") or "{}").get("events", [])
    return wanted


def _is_signed(request: Received, secret: str) -> bool:
    """Whether the signature is right; how old it is does not matter, since runs of chaos are long."""
    at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    right = Webhook(secret).sign(request.headers["webhook-id"], at, request.body.decode())
    return right in request.headers["webhook-signature"].split()
