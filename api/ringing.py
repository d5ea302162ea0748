"""Ringing for workers, without waiting for it. A failed ring is harmless: the reaper rings again."""

import asyncio
from typing import Final

from redis.exceptions import RedisError

from api.cancelling import cancel_all
from api.link import Link, packed
from shared.celery_app import RingMessage
from shared.logs import get_logger
from shared.settings import RedisSettings
from shared.tracing import NO_SPAN, Kind, Span

log = get_logger(__name__)

# Rings on their way at once; beyond, workers are being rung anyway and the reaper covers the rest.
MAX_PENDING: Final = 256


class Ringer:
    """Rings over a connection of its own.

    Args:
        link: to the broker.
        settings: those of the store, whose prefix is that of the queues too.
    """

    def __init__(self, link: Link, settings: RedisSettings) -> None:
        self._link = link
        self._settings = settings
        self._messages: dict[tuple[str, int], RingMessage] = {}
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
            task = asyncio.create_task(self._ring((model, needs), span))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    async def close(self) -> None:
        """Stop ringing; what has not been sent is dropped."""
        await cancel_all(self._pending)
        self._link.close()

    async def _ring(self, bell: tuple[str, int], span: Span) -> None:
        with span:
            message = self._messages.get(bell)
            if message is None:
                message = self._messages[bell] = RingMessage(self._settings, *bell)
            try:
                (reply,) = await self._link.ask(packed("LPUSH", message.queue, bytes(message)))
                if isinstance(reply, RedisError):
                    raise reply
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("ring.failed", reason=type(error).__name__)
                span.fail(type(error).__name__)
