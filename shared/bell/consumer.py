"""How Celery's worker waits for rings: back soon after Redis was away, and told at once of a free slot."""

from typing import Any

from celery.concurrency.thread import TaskPool
from celery.worker.consumer import Consumer
from kombu.asynchronous import get_event_loop
from typing_extensions import override


class RingConsumer(Consumer):
    """Celery's consumer, back within a second of Redis, without gossip between workers.

    The stock back-off grows to 30 s and has no setting. Gossip, mingle and event heartbeats are Celery's own
    idea of who lives; leases are ours, so they are off without a flag on the command line. Where events are
    sent, heartbeats are too: whoever listens takes a worker without them for dead.
    """

    def __init__(self, on_task_request: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed through
        silent = not kwargs["app"].conf.worker_send_task_events
        options = {"without_gossip": True, "without_mingle": True, "without_heartbeat": silent}
        kwargs["worker_options"] = {**(kwargs.get("worker_options") or {}), **options}
        super().__init__(on_task_request, **{**kwargs, **options})

    def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401 - kombu's types
        """Connect, trying again at most a second apart."""
        ensure = conn.ensure_connection

        def soon(errback: Any, max_retries: Any, callback: Any = None) -> Any:  # noqa: ANN401
            return ensure(
                errback, max_retries, interval_start=0.2, interval_step=0.2, interval_max=1, callback=callback
            )

        conn.ensure_connection = soon
        return super().ensure_connected(conn)


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
