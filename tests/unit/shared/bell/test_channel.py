"""What the worker's transport keeps of the rings that it took: nothing, however many there were."""

from collections.abc import Iterator

import pytest
from kombu import Connection, Consumer
from kombu.message import Message

from shared.bell.ring import Doorbell
from shared.bell.tasks import ring_queue
from shared.jobs.keys import Keys
from shared.settings import RedisSettings

RINGS = 50


@pytest.fixture
def doorbell(redis_settings: RedisSettings) -> Iterator[Doorbell]:
    bell = Doorbell(redis_settings)
    yield bell
    bell.close()


@pytest.mark.parametrize("answer", [Message.ack, Message.reject], ids=["acknowledged", "rejected"])
def test_rings_that_celery_is_done_with_leave_nothing(
    redis_settings: RedisSettings, doorbell: Doorbell, answer: object
) -> None:
    doorbell.ring("tiny", RINGS)
    taken: list[Message] = []
    queue = ring_queue(Keys(redis_settings.prefix), "tiny")

    with Connection(redis_settings.broker(), transport="shared.bell.channel:RingTransport") as connection:
        channel = connection.channel()
        with Consumer(channel, [queue], on_message=taken.append, accept=["json"]):
            while len(taken) < RINGS:
                connection.drain_events(timeout=5)
        for message in taken:
            answer(message)

        assert not channel.qos._dirty
        assert not channel.qos._delivered
    assert doorbell.waiting("tiny") == 0
