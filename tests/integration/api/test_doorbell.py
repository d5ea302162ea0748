"""Submitting rings for workers, off the event loop; a ring that is lost costs nothing but time."""

import json

import pytest
import redis
from pydantic import SecretStr

from cli.ports import LOOPBACK, free_port
from shared.bell.message import RING
from shared.bell.ring import Doorbell
from shared.jobs.keys import Keys
from tests.integration.conftest import Serve, Service
from tests.waiting import wait_until


@pytest.fixture
def doorbell(service: Service) -> Doorbell:
    bell = Doorbell(service.api.settings.redis)
    service.stack.callback(bell.close)
    return bell


def test_each_job_rings_once_for_its_model(service: Service, doorbell: Doorbell) -> None:
    for model in ("tiny", "tiny", "plain"):
        service.caller.submit(model=model)

    wait_until(lambda: (doorbell.waiting("tiny"), doorbell.waiting("plain")) == (2, 1), what="the rings")


def test_nobody_is_rung_for_more_jobs_than_every_slot_can_have_been_rung_for(
    service: Service, doorbell: Doorbell
) -> None:
    for _ in range(66):
        service.caller.submit(model="tiny")
    service.caller.submit(model="plain")

    wait_until(lambda: doorbell.waiting("plain") == 1, what="the last ring")
    wait_until(lambda: doorbell.waiting("tiny") == 64, what="the rings")


def test_a_repeated_call_does_not_ring_again(service: Service, doorbell: Doorbell) -> None:
    for _ in range(3):
        service.caller.submit({"Idempotency-Key": "one"})
    service.caller.submit(model="plain")

    wait_until(lambda: doorbell.waiting("plain") == 1, what="the last ring")
    assert doorbell.waiting("tiny") == 1


def test_a_ring_carries_nothing_but_the_models_name(service: Service, doorbell: Doorbell) -> None:
    service.caller.submit(prompt="a secret", user="anna")
    wait_until(lambda: doorbell.waiting("tiny"), what="the ring")

    settings = service.api.settings.redis
    with redis.Redis.from_url(settings.broker()) as broker:
        message = json.loads(broker.lindex(Keys(settings.prefix).doorbell("tiny"), 0))  # type: ignore[arg-type]

    assert (message["headers"]["task"], message["headers"]["argsrepr"]) == (RING, "['tiny']")
    assert message["content-type"] == "application/json"
    assert "secret" not in json.dumps(message)


def test_a_job_is_taken_although_nobody_can_be_rung(serve: Serve) -> None:
    broker = SecretStr(f"redis://{LOOPBACK}:{free_port()}/1")
    service = serve(redis={"broker_url": broker})

    job_id = service.caller.submit()

    assert service.worker.do() == job_id
    assert service.caller.result(job_id).status_code == 200
