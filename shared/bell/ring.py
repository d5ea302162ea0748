"""Ringing: Celery's own message, made by Celery once a model, and pushed to the broker by whoever rings."""

from typing import Any, Final
from uuid import UUID, uuid4

from kombu.transport.memory import Channel
from kombu.utils.json import dumps

from shared.bell.celery_app import doorbell_queue, make_app
from shared.bell.message import RING
from shared.jobs.keys import Keys
from shared.redis_clients import sync_client
from shared.settings import RedisSettings

_EACH: Final = str(UUID(int=0))


class RingMessage:
    """A ring as Celery sends it. What differs from ring to ring is an id.

    Args:
        settings: those of the store, whose prefix is that of the queues too.
        model: the model.
        needs: the version of the params that a worker must read to take it; others do not hear this.
    """

    def __init__(self, settings: RedisSettings, model: str, needs: int = 1) -> None:
        queue = doorbell_queue(Keys(settings.prefix), model, needs)
        self.queue: Final[str] = queue.name
        app = make_app(settings)
        # It goes nowhere, so that it can be looked at.
        app.conf.update(broker_url="memory://", broker_transport="memory", broker_use_ssl=False)
        with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
            app.send_task(
                RING, args=[model], queue=queue, producer=producer, task_id=_EACH, ignore_result=True
            )
            message = Channel.queues.pop(queue.name).get_nowait()
        app.close()
        message["properties"]["delivery_tag"] = _EACH
        self._parts = dumps(message).encode().split(_EACH.encode())

    def __bytes__(self) -> bytes:
        """Return a message of its own."""
        return str(uuid4()).encode().join(self._parts)


class RingMessages:
    """The messages of every model, made when they are first sent.

    Args:
        settings: those of the store.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._made: dict[tuple[str, int], RingMessage] = {}

    def of(self, model: str, needs: int) -> RingMessage:
        """Return a model's."""
        message = self._made.get((model, needs))
        if message is None:
            message = self._made[model, needs] = RingMessage(self._settings, model, needs)
        return message


class Doorbell:
    """Rings for a model. Blocking: call it off the event loop."""

    def __init__(self, settings: RedisSettings) -> None:
        self._client: Any = sync_client(settings.of_the_broker())
        self._keys = Keys(settings.prefix)
        self._messages = RingMessages(settings)

    def ring(self, model: str, times: int = 1, *, needs: int = 1) -> None:
        """Say that there is work for ``model``.

        Args:
            model: the model.
            times: for so many slots.
            needs: the version of the params that a worker must read to take it; others do not hear this.

        Raises:
            redis.exceptions.RedisError: the broker cannot be reached; the reaper will ring again.
        """
        if times:
            message = self._messages.of(model, needs)
            self._client.lpush(message.queue, *(bytes(message) for _ in range(times)))

    def waiting(self, model: str, needs: int = 1) -> int:
        """How many rings of ``model`` no worker has answered yet."""
        return int(self._client.llen(self._keys.doorbell(model, needs)))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
