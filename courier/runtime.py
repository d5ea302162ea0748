"""Everything one courier is made of, built when Celery starts it and taken apart when it stops."""

import os
import secrets
import socket
from typing import Final

from courier.batches.clerk import Clerk
from courier.rounds import Rounds
from courier.sending import Sender
from courier.store import CourierStore
from shared.bell.ring import Doorbell
from shared.logs import get_logger
from shared.redis_clients import sync_client
from shared.settings import Settings
from shared.ticker import Ticker

log = get_logger(__name__)

BELL: Final = "@courier"
"""What is rung for, where for workers the name of a model stands; no model can be called so."""
MAX_RINGS: Final = 64
"""Rings on their way; a courier that answers one goes on until nothing is due."""


def courier_name() -> str:
    """Return the name of this process, which no other has ever had.

    It begins with the host, by which the health check of a container finds its own.
    """
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


class Runtime:
    """One running courier."""

    def __init__(self, settings: Settings) -> None:
        self.name = courier_name()
        webhooks = settings.webhooks
        self._client = sync_client(settings.redis, connections=webhooks.concurrency + 4)
        self._store = CourierStore(self._client, webhooks, settings.redis.prefix)
        self._doorbell = Doorbell(settings.redis)
        self.rounds = Rounds(self._store, Sender(webhooks), webhooks, settings.api.public_url)
        self._ticker = Ticker("deliveries", webhooks.look_s, self._look)
        self._clerk = Clerk(settings)

    def start(self) -> None:
        """Begin to look for what is due."""
        self._ticker.start()
        self._clerk.start()
        log.info("courier.started", courier=self.name)

    def drain(self) -> None:
        """Take nothing more."""
        self.rounds.draining.set()

    def close(self) -> None:
        """Take everything apart; the slots are empty by now."""
        self._clerk.stop()
        self._ticker.stop()
        self._doorbell.close()
        self._client.close()
        log.info("courier.stopped", courier=self.name)

    def _look(self) -> None:
        due = min(self._store.dispatch(self.name), MAX_RINGS)
        if due:
            self._doorbell.ring(BELL, max(0, due - self._doorbell.waiting(BELL)))
