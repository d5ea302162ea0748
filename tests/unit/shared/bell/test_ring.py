"""Our own rings count, whoever made them; tests/faults/test_forged_rings.py has what does not."""

import json
from typing import Any

import pytest

from shared.bell.celery_app import doorbell_queue, make_app
from shared.bell.message import RING, is_ring
from shared.bell.ring import RingMessage
from shared.jobs.keys import Keys
from shared.redis_clients import sync_client
from shared.settings import RedisSettings


@pytest.fixture
def ring(redis_settings: RedisSettings) -> dict[str, Any]:
    """What Celery itself writes."""
    app = make_app(redis_settings)
    queue = doorbell_queue(Keys(redis_settings.prefix), "org/Some Model-1.5")
    app.send_task(RING, args=["org/Some Model-1.5"], queue=queue, retry=False, ignore_result=True)
    app.close()
    url = redis_settings.broker()
    with sync_client(redis_settings.model_copy(update={"url": type(redis_settings.url)(url)})) as client:
        taken: Any = client.rpop(f"{redis_settings.prefix}ring:org/Some Model-1.5")
    message: dict[str, Any] = json.loads(taken)
    return message


def test_what_celery_writes_is_a_ring(ring: dict[str, Any]) -> None:
    assert is_ring(ring)


def test_what_is_sent_is_what_celery_would_send(ring: dict[str, Any], redis_settings: RedisSettings) -> None:
    message = RingMessage(redis_settings, "org/Some Model-1.5")
    first, second = json.loads(bytes(message)), json.loads(bytes(message))

    assert is_ring(first)
    assert message.queue == f"{redis_settings.prefix}ring:org/Some Model-1.5"
    assert first["headers"]["id"] != second["headers"]["id"]
    assert without_ids(first) == without_ids(ring)


def without_ids(message: dict[str, Any]) -> str:
    """A message's text, in which every id of its own is the same."""
    each = {
        message["headers"]["id"],
        message["properties"]["delivery_tag"],
        message["properties"]["reply_to"],
    }
    text = json.dumps(message, sort_keys=True)
    for own in each:
        text = text.replace(own, "id")
    return text


@pytest.mark.parametrize(
    "change",
    [
        {"body": "e30="},
        {"body": "no base64!"},
        {"content-type": "application/x-python-serialize"},
        {"content-encoding": "binary"},
        {"headers": {"task": "os.system"}},
        {"headers": {"eta": "2030-01-01T00:00:00"}},
        {"headers": {"retries": 1}},
        {"headers": {"timelimit": [1, 1]}},
        {"properties": {"body_encoding": "none"}},
        {"properties": {"delivery_info": None}},
    ],
    ids=str,
)
def test_one_thing_that_differs_makes_it_none(ring: dict[str, Any], change: dict[str, Any]) -> None:
    for name, value in change.items():
        ring[name] = {**ring[name], **value} if isinstance(value, dict) else value

    assert not is_ring(ring)
