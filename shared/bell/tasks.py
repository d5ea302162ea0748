"""Celery's side of whoever answers rings: the one task, and the queues from which its rings come."""

from collections.abc import Callable

from celery import Celery
from kombu.entity import Queue

from shared.bell.celery_app import doorbell_queue
from shared.bell.message import RING
from shared.jobs.keys import Keys


def ring_queue(keys: Keys, model: str, needs: int = 1) -> Queue:
    """Return a model's queue of rings as it is taken: without acknowledgement."""
    queue = doorbell_queue(keys, model, needs)
    queue.no_ack = True
    return queue


def register(app: Celery, answer: Callable[[str], None]) -> None:
    """Give ``app`` the doorbell task.

    Args:
        app: the application of the process.
        answer: what a ring sets going; it gets the name that was rung for.
    """

    @app.task(name=RING, ignore_result=True)
    def ring(model: str) -> None:
        answer(model)
