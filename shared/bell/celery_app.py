"""The Celery application: it rings, the record decides. Neither side stores anything in Celery."""

from celery import Celery
from kombu.entity import Queue

from shared.jobs.keys import Keys
from shared.settings import RedisSettings


def make_app(settings: RedisSettings) -> Celery:
    """Make the application that :mod:`worker.main` completes to a worker."""
    broker = settings.broker()
    app = Celery("darkroom", broker=broker, backend=None, set_as_current=False)
    app.conf.update(
        broker_use_ssl=settings.tls(broker),
        broker_transport="shared.bell.channel:RingTransport",
        worker_consumer="shared.bell.consumer:RingConsumer",
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
