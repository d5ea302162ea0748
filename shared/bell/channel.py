"""How rings are taken: from Redis, never written down to be restored, and nothing that is no ring.

A ring is taken only when a slot is free to answer it, and is gone once it is taken: losing one costs a reaper
tick.
"""

from typing import Any

from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError
from typing_extensions import override

from shared.bell.message import is_ring
from shared.logs import get_logger

log = get_logger(__name__)


class RingQoS(kombu_redis.QoS):
    """Keeps no rings, so there are none to restore."""

    @override
    def restore_visible(self, *_: Any, **__: Any) -> None:
        """Do nothing; kombu would write a lock for this, which a full server refuses."""

    @override
    def ack(self, delivery_tag: str) -> None:
        """Do nothing; kombu would note the tag of every ring for ever, and ask the server to forget it."""

    @override
    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Do nothing: a ring that is not answered is gone too."""


class RingChannel(kombu_redis.Channel):
    """A channel that keeps no rings, and outlives what is none, and a transport that closes under it."""

    QoS = RingQoS

    @override
    def _connparams(self, asynchronous: bool = False) -> Any:
        transport = self.connection
        if transport is None or transport.client is None:
            # As a connection error it is handled like any other.
            msg = "transport already closed"
            raise RedisConnectionError(msg)
        return super()._connparams(asynchronous)

    @override
    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (ValueError, RecursionError):
            # No JSON. It is out of the list by now, like any other that was taken.
            log.warning("ring.unreadable")
            return True


class RingTransport(kombu_redis.Transport):
    """A transport to which a server without memory is one that is away: the worker tries again, and lives."""

    Channel = RingChannel
    connection_errors = (*kombu_redis.Transport.connection_errors, OutOfMemoryError)

    @override
    def _deliver(self, message: Any, queue: str) -> None:
        # What goes to every worker, for those that Flower may ask, comes through a queue of each one's own.
        if queue.endswith(".pidbox") or is_ring(message):
            super()._deliver(message, queue)
        else:
            log.warning("ring.forged", queue=queue)
