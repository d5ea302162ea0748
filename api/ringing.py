"""Ringing for workers, off the event loop. A failed ring is harmless: the reaper rings again."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from shared.celery_app import Doorbell
from shared.logs import get_logger
from shared.tracing import NO_SPAN, Kind, Span

log = get_logger(__name__)

# Rings on their way at once; beyond, workers are being rung anyway and the reaper covers the rest.
MAX_PENDING: Final = 256


class Ringer:
    """Rings in a small pool of threads."""

    def __init__(self, doorbell: Doorbell) -> None:
        self._doorbell = doorbell
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="ring")
        self._pending = 0

    def ring(self, model: str, within: Span = NO_SPAN) -> None:
        """Ring for ``model`` and return at once; ``within`` is the span of whoever has work for it."""
        if self._pending >= MAX_PENDING:
            return
        self._pending += 1
        span = within.begin("ring", kind=Kind.CLIENT, about={"darkroom.model": model})
        ringing = asyncio.get_running_loop().run_in_executor(self._pool, self._doorbell.ring, model)
        ringing.add_done_callback(partial(self._rung, span))

    def close(self) -> None:
        """Stop ringing; what has not been sent is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._doorbell.close()

    def _rung(self, span: Span, future: "asyncio.Future[None]") -> None:
        self._pending -= 1
        if not future.cancelled() and (error := future.exception()) is not None:
            log.warning("ring.failed", reason=type(error).__name__)
            span.fail(type(error).__name__)
        span.end()
