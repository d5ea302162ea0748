"""Ringing for workers, without waiting for it. A failed ring is harmless: the reaper rings again."""

import asyncio
from typing import Any, Final

import redis.asyncio as aioredis
from redis.exceptions import RedisError

from api.cancelling import cancel_all
from shared.bell.ring import RingMessages
from shared.logs import get_logger
from shared.settings import RedisSettings
from shared.tracing import NO_SPAN, Kind, Span

log = get_logger(__name__)

# Rings on their way at once; beyond, workers are being rung anyway and the reaper covers the rest.
MAX_PENDING: Final = 256


class Ringer:
    """Rings at the broker.

    Args:
        client: the broker's.
        settings: those of the store, whose prefix is that of the queues too.
    """

    def __init__(self, client: aioredis.Redis, settings: RedisSettings) -> None:
        self._client: Any = client
        self._messages = RingMessages(settings)
        self._pending: set[asyncio.Task[None]] = set()

    def ring(self, model: str, within: Span = NO_SPAN, *, needs: int = 1) -> None:
        """Ring for ``model`` and return at once.

        Args:
            model: the model.
            within: the span of whoever has work for it.
            needs: the version of the params that a worker must read to take it.
        """
        if len(self._pending) < MAX_PENDING:
            span = within.begin("ring", kind=Kind.CLIENT, about={"darkroom.model": model})
            task = asyncio.create_task(self._ring(model, needs, span))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    async def close(self) -> None:
        """Stop ringing; what has not been sent is dropped."""
        await cancel_all(self._pending)

    async def _ring(self, model: str, needs: int, span: Span) -> None:
        with span:
            message = self._messages.of(model, needs)
            try:
                await self._client.lpush(message.queue, bytes(message))
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("ring.failed", reason=type(error).__name__)
                span.fail(type(error).__name__)
