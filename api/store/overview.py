"""What the whole service does now, read from Redis in two round trips: the operator's view.

Nothing in it says what anybody asked for.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.schemas import RunsAs
from api.store.client import StoreClient
from api.store.underway import BatchState, ask_batches, batch_state
from api.store.webhooks import WebhookState, ask_webhooks, webhook_state
from api.store.workers import said_tunings

ERRORS: Final = 20
# How far back in the stream of ended jobs failures are looked for.
_LOOKED_AT: Final = 2000
# More running jobs than this are counted, and not told by model and worker.
_MOST_RUNNING: Final = 5000
# What is asked of each model.
_ASKED: Final = 5


@dataclass(frozen=True)
class QueueState:
    """A model's queue.

    ``unreadable`` of the queued jobs wait for a worker of a later version than any that lives. ``oldest_s``
    is how long its oldest job has waited, 0 where none waits. ``low`` jobs of low priority wait besides,
    which nothing else here tells of but ``running``. ``eta_error`` is by how much predicted ends are
    missed of late, as a share of the time taken; None before the first.
    """

    model: str
    queued: int
    unreadable: int
    running: int
    oldest_s: float
    workers: int
    eta_error: float | None
    low: int


@dataclass(frozen=True)
class WorkerState:
    """A live worker: what it says of itself, and the jobs it holds.

    ``reads`` is a version of the params, ``runs_as`` how it runs its models, by name.
    """

    name: str
    device: str
    models: tuple[str, ...]
    jobs: int
    rows: int
    capacity: int
    seen_s: float
    reads: int
    runs_as: Mapping[str, RunsAs]


@dataclass(frozen=True)
class Failure:
    """A job that failed lately; ``at`` in unix seconds."""

    job_id: str
    at: int
    code: str
    model: str
    worker: str
    attempts: int


@dataclass(frozen=True)
class Overview:
    """All of it at one instant of Redis's clock, in unix seconds."""

    at: int
    models: tuple[QueueState, ...]
    workers: tuple[WorkerState, ...]
    errors: tuple[Failure, ...]
    webhooks: WebhookState
    batches: BatchState


async def overview(client: StoreClient, live_s: float) -> Overview:
    """Look at everything.

    Args:
        client: the server.
        live_s: a worker whose last heartbeat is older is not live.

    Raises:
        StoreUnavailable: Redis is away.
    """
    keys = client.keys
    (seconds, micros), models, leased, ended, missed, *told = await client.ask(
        lambda pipe: (
            pipe.time(),
            pipe.smembers(keys.models),
            pipe.zrange(keys.leases, 0, _MOST_RUNNING - 1),
            pipe.xrevrange(keys.done, count=_LOOKED_AT),
            pipe.hgetall(keys.eta_error),
            *ask_webhooks(pipe, keys),
            *ask_batches(pipe, keys),
        )
    )
    now_ms = seconds * 1000 + micros // 1000
    names = sorted(name.decode() for name in models)
    failed = [fields[b"id"].decode() for _, fields in ended if fields.get(b"status") == b"failed"][:ERRORS]

    def ask(pipe: Any) -> None:  # noqa: ANN401
        for name in names:
            pipe.zcard(keys.queue(name))
            pipe.zrange(keys.queue(name), 0, 0, withscores=True)
            pipe.zrangebyscore(keys.serving(name), now_ms - live_s * 1000, "+inf", withscores=True)
            pipe.hgetall(keys.newer(name))
            pipe.zcard(keys.low(name))
        for job_id in leased:
            pipe.hmget(keys.job(job_id.decode()), ["model", "worker"])
        for job_id in failed:
            pipe.hmget(keys.job(job_id), ["finished_at", "error", "model", "worker", "attempt"])

    replies = await client.ask(ask)
    asked = _ASKED * len(names)
    queues, rest = replies[:asked], replies[asked:]
    running = [(model or b"", worker or b"") for model, worker in rest[: len(leased)]]
    seen: dict[str, float] = {}
    for _, _, serving, *_ in zip(*[iter(queues)] * _ASKED, strict=True):
        seen |= {name.decode(): (now_ms - at) / 1000 for name, at in serving}
    workers = await _workers(client, seen, Counter(worker.decode() for _, worker in running))
    reads = {worker.name: worker.reads for worker in workers}
    return Overview(
        at=seconds,
        models=_queues(names, queues, running, missed, reads, now_ms),
        workers=workers,
        errors=_failures(failed, rest[len(leased) :]),
        webhooks=webhook_state(told[:-3], now_ms),
        batches=batch_state(told[-3:], now_ms),
    )


def _queues(
    names: Sequence[str],
    replies: Sequence[Any],
    running: Sequence[tuple[bytes, bytes]],
    missed: Mapping[bytes, bytes],
    reads: Mapping[str, int],
    now_ms: int,
) -> tuple[QueueState, ...]:
    counts = Counter(model.decode() for model, _ in running)
    return tuple(
        QueueState(
            model=name,
            queued=queued,
            unreadable=_unreadable(newer, [reads[worker.decode()] for worker, _ in serving]),
            running=counts[name],
            oldest_s=max(0.0, (now_ms - oldest[0][1]) / 1000) if oldest else 0.0,
            workers=len(serving),
            eta_error=float(missed[name.encode()]) if name.encode() in missed else None,
            low=low,
        )
        for name, queued, oldest, serving, newer, low in zip(names, *[iter(replies)] * _ASKED, strict=True)
    )


def _unreadable(newer: Mapping[bytes, bytes], reads: Sequence[int]) -> int:
    """Return how many queued jobs need more than any of these workers reads."""
    most = max(reads, default=1)
    return sum(int(jobs) for needs, jobs in newer.items() if int(needs) > most)


async def _workers(
    client: StoreClient, seen: dict[str, float], jobs: Counter[str]
) -> tuple[WorkerState, ...]:
    names = sorted(seen)
    said = await client.ask(lambda pipe: [pipe.hget(client.keys.worker(name), "about") for name in names])
    states = []
    for name, words in zip(names, said, strict=True):
        about = json.loads(words) if words else {}
        states.append(
            WorkerState(
                name=name,
                device=str(about.get("device", "")),
                models=tuple(about.get("models", ())),
                jobs=jobs[name],
                rows=int(about.get("rows", 0)),
                capacity=int(about.get("slots", 1)),
                seen_s=max(0.0, seen[name]),
                reads=int(about.get("reads", 1)),
                runs_as=said_tunings(about),
            )
        )
    return tuple(states)


def _failures(job_ids: Sequence[str], records: Sequence[Any]) -> tuple[Failure, ...]:
    return tuple(
        Failure(
            job_id=job_id,
            at=int(finished_at or 0) // 1000,
            code=str(json.loads(error).get("code", "")) if error else "",
            model=model.decode(),
            worker=(worker or b"").decode(),
            attempts=int(attempt or 0),
        )
        for job_id, (finished_at, error, model, worker, attempt) in zip(job_ids, records, strict=True)
        if model is not None
    )
