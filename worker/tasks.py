"""The one Celery task: the doorbell."""

from collections.abc import Callable

from celery import Celery

from shared.celery_app import RING


def register(app: Celery, answer: Callable[[str], None]) -> None:
    """Give ``app`` the doorbell task.

    Args:
        app: the worker's application.
        answer: what a ring sets going; it gets the model's name.
    """

    @app.task(name=RING, ignore_result=True)
    def ring(model: str) -> None:
        answer(model)
