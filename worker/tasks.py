"""Celery's side of a worker: the one task, the doorbell, and how rings are taken.

A ring is taken only when a slot is free to answer it, and is gone once it is taken: losing one costs a reaper
tick, so none is ever written down to be restored.
"""

from collections.abc import Callable
from typing import Any, Final

from celery import Celery
from celery.concurrency.thread import TaskPool
from kombu.asynchronous import get_event_loop
from kombu.entity import Queue
from kombu.transport import redis as kombu_redis
from redis.exceptions import OutOfMemoryError
from typing_extensions import override

from shared.celery_app import RING, Channel, Transport, doorbell_queue
from shared.jobs.keys import Keys
from shared.logs import get_logger
from worker.rings import is_ring

log = get_logger(__name__)

POOL: Final = "worker.tasks:SlotPool"
TRANSPORT: Final = "worker.tasks:RingTransport"


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


class RingChannel(Channel):
    """A channel that keeps no rings, and outlives what is none."""

    QoS = RingQoS

    @override
    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (ValueError, RecursionError):
            # No JSON. It is out of the list by now, like any other that was taken.
            log.warning("ring.unreadable")
            return True


class RingTransport(Transport):
    """A transport to which a server without memory is one that is away: the worker tries again, and lives."""

    Channel = RingChannel
    connection_errors = (*Transport.connection_errors, OutOfMemoryError)

    @override
    def _deliver(self, message: Any, queue: str) -> None:
        # What goes to every worker, for those that Flower may ask, comes through a queue of each one's own.
        if queue.endswith(".pidbox") or is_ring(message):
            super()._deliver(message, queue)
        else:
            log.warning("ring.forged", queue=queue)


class SlotPool(TaskPool):
    """Celery's thread pool that says when a slot is free.

    With prefetching off, Celery's loop looks for the next ring only when something else wakes it, up to a
    second after the slot is free.
    """

    @override
    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        result = super().on_apply(*args, **kwargs)
        result.f.add_done_callback(_wake_loop)
        return result


def _wake_loop(_: object) -> None:
    loop = get_event_loop()
    if loop is not None:
        loop.call_soon(_nothing)


def _nothing() -> None:
    """What the woken loop has to do; the look for rings that follows is the point."""


def ring_queue(keys: Keys, model: str, needs: int = 1) -> Queue:
    """Return a model's queue of rings as a worker takes them: without acknowledgement."""
    queue = doorbell_queue(keys, model, needs)
    queue.no_ack = True
    return queue


def register(app: Celery, answer: Callable[[str], None]) -> None:
    """Give ``app`` the doorbell task.

    Args:
        app: the worker's application.
        answer: what a ring sets going; it gets the model's name.
    """

    @app.task(name=RING, ignore_result=True)
    def ring(model: str) -> None:
        answer(model)
