"""The service as a whole, seen through Redis: who lives, what waits, what was counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from api.provided import provided
from api.schemas import RunsAs
from api.store.client import StoreClient
from api.store.overview import Overview, overview
from api.store.workers import tunings


@dataclass(frozen=True)
class Liveness:
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
class Tallies:
    """What is counted and kept in Redis.

    Attributes:
        counts: ended jobs and their durations, by ``model:what:value``.
        results, result_bytes: results that can be fetched, and what they take.
        dead: jobs on the list of the dead.
        memory_bytes, memory_limit_bytes: Redis's own, the limit 0 where there is none.
    """

    counts: Mapping[str, int]
    results: int
    result_bytes: int
    dead: int
    memory_bytes: int
    memory_limit_bytes: int


class ObservationStore:
    """What is seen of the whole service.

    Args:
        client: the server.

    Every method raises StoreUnavailable where Redis is away.
    """

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def liveness(self) -> Liveness:
        """Return when each model's workers were last heard of."""
        keys = self._client.keys
        (names,) = await self._client.ask(lambda pipe: pipe.smembers(keys.models))
        models = [name.decode() for name in names]

        def fill(pipe: Any) -> None:  # noqa: ANN401
            pipe.time()
            pipe.info("memory")
            for model in models:
                pipe.zrevrange(keys.serving(model), 0, 0, withscores=True)

        (seconds, micros), memory, *newest = await self._client.ask(fill)
        seen = {model: int(rows[0][1]) for model, rows in zip(models, newest, strict=True) if rows}
        used, most = _memory(memory)
        return Liveness(seen, int(seconds) * 1000 + int(micros) // 1000, used / most if most else 0.0)

    async def tunings(self, models: Iterable[str], live_s: float) -> dict[str, tuple[RunsAs, ...]]:
        """Return the ways in which live workers run each of these models, the most usual first.

        Args:
            models: their names.
            live_s: a worker whose last heartbeat is older is not live.
        """
        return await tunings(self._client, models, live_s)

    async def overview(self, live_s: float) -> Overview:
        """Look at every queue and worker, and at recent failures.

        Args:
            live_s: a worker whose last heartbeat is older is not live.
        """
        return await overview(self._client, live_s)

    async def tallies(self) -> Tallies:
        """Return what is counted."""
        keys = self._client.keys
        counts, results, result_bytes, dead, memory = await self._client.ask(
            lambda pipe: (
                pipe.hgetall(keys.counts),
                pipe.zcard(keys.results),
                pipe.get(keys.result_bytes),
                pipe.xlen(keys.dead),
                pipe.info("memory"),
            )
        )
        used, most = _memory(memory)
        return Tallies(
            counts={name.decode(): int(amount) for name, amount in counts.items()},
            results=results,
            result_bytes=int(result_bytes or 0),
            dead=dead,
            memory_bytes=used,
            memory_limit_bytes=most,
        )


def _memory(info: Mapping[str, Any]) -> tuple[int, int]:
    """Return what a server uses, and its limit or 0, in bytes."""
    return int(info["used_memory"]), int(info.get("maxmemory", 0))


ObservationStoreDep = Annotated[ObservationStore, provided("observation")]
