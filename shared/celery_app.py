"""The Celery application: it rings, the record decides.

A task is a doorbell that carries nothing but the model's name. Losing one costs a reaper tick, doubling one
an empty claim. The API rings, workers answer; neither stores anything in Celery.
"""

from typing import Any, Final
from uuid import UUID, uuid4

from celery import Celery
from celery.worker.consumer import Consumer
from kombu.entity import Queue
from kombu.transport import memory
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps
from redis.exceptions import ConnectionError as RedisConnectionError
from typing_extensions import override

from shared.jobs.keys import Keys
from shared.settings import RedisSettings

RING: Final = "darkroom.ring"


class Channel(kombu_redis.Channel):
    """A channel whose closed transport is a connection error.

    kombu 5.7.0 asks a transport that it has just closed for its host name; the AttributeError ends the worker
    when a message is in flight while Redis goes away. As a connection error it is handled like any other.
    """

    @override
    def _connparams(self, asynchronous: bool = False) -> Any:
        transport = self.connection
        if transport is None or transport.client is None:
            msg = "transport already closed"
            raise RedisConnectionError(msg)
        return super()._connparams(asynchronous)


class Transport(kombu_redis.Transport):
    """kombu's Redis transport with our channel."""

    Channel = Channel


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


class MouldChannel(memory.Channel):
    """A channel that keeps what it is to deliver as it would be sent."""

    @override
    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        message["properties"]["delivery_tag"] = _EACH
        self.connection.cast = dumps(message).encode()


class MouldTransport(memory.Transport):
    """Goes nowhere, so that a message can be looked at."""

    Channel = MouldChannel
    cast = b""


class RingMessage:
    """The message that Celery sends as a ring, for who sends it by other means: the API, without a thread.

    Celery makes it once; what differs from ring to ring is an id.
    """

    def __init__(self, settings: RedisSettings, model: str, needs: int = 1) -> None:
        app = make_app(settings)
        app.conf.update(broker_transport="shared.celery_app:MouldTransport")
        self.queue: Final = Keys(settings.prefix).doorbell(model, needs)
        with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
            queue = doorbell_queue(Keys(settings.prefix), model, needs)
            app.send_task(
                RING, args=[model], queue=queue, producer=producer, task_id=_EACH, ignore_result=True
            )
            self._parts = connection.transport.cast.split(_EACH.encode())
        app.close()

    def __bytes__(self) -> bytes:
        """Return a message of its own."""
        return str(uuid4()).encode().join(self._parts)


_EACH: Final = str(UUID(int=0))


def make_app(settings: RedisSettings) -> Celery:
    """Make the application that rings, or that :mod:`worker.main` completes to a worker."""
    broker = settings.broker()
    app = Celery("darkroom", broker=broker, backend=None, set_as_current=False)
    app.conf.update(
        broker_use_ssl=settings.tls(broker),
        broker_transport="shared.celery_app:Transport",
        worker_consumer="shared.celery_app:RingConsumer",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=False,
        task_serializer="json",
        accept_content=["json"],
        event_serializer="json",
        result_accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_publish_retry=False,
        task_create_missing_queues=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=4,
        broker_transport_options={
            "visibility_timeout": 30,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 5,
            "priority_steps": [0],
            "socket_timeout": 5,
            "socket_connect_timeout": settings.connect_timeout_s,
            "socket_keepalive": True,
            "health_check_interval": 3,
        },
    )
    return app


def doorbell_queue(keys: Keys, model: str, needs: int = 1) -> Queue:
    """Return the queue in which a model's doorbells ring, for jobs that need this version of the params."""
    return Queue(keys.doorbell(model, needs), routing_key=keys.doorbell(model, needs))


class Doorbell:
    """Rings for a model. Blocking: call it off the event loop."""

    def __init__(self, settings: RedisSettings) -> None:
        self._app = make_app(settings)
        self._keys = Keys(settings.prefix)

    def ring(self, model: str, times: int = 1, *, needs: int = 1) -> None:
        """Say that there is work for ``model``.

        Args:
            model: the model.
            times: for so many slots.
            needs: the version of the params that a worker must read to take it; others do not hear this.

        Raises:
            kombu.exceptions.OperationalError: the broker cannot be reached; the reaper will ring again.
        """
        queue = doorbell_queue(self._keys, model, needs)
        with self._app.producer_pool.acquire(block=True, timeout=3) as producer:
            for _ in range(times):
                self._app.send_task(
                    RING,
                    args=[model],
                    queue=queue,
                    producer=producer,
                    retry=False,
                    ignore_result=True,
                    expires=None,
                )

    def waiting(self, model: str, needs: int = 1) -> int:
        """How many rings of ``model`` no worker has answered yet."""
        with self._app.connection_for_read() as connection, connection.channel() as channel:
            return int(channel.client.llen(self._keys.doorbell(model, needs)))

    def close(self) -> None:
        """Close the connections."""
        self._app.close()
