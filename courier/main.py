"""The courier's entry point: ``celery -A courier.main worker``, configured by the environment alone."""

import sys
import warnings
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.signals import celeryd_init, setup_logging, worker_shutdown, worker_shutting_down

from courier.runtime import BELL, Runtime
from shared.bell.celery_app import make_app
from shared.bell.tasks import register, ring_queue
from shared.errors import ConfigurationError
from shared.jobs.keys import Keys
from shared.logs import configure
from shared.settings import Settings, read_settings


def _settings() -> Settings:
    try:
        return read_settings()
    except ConfigurationError as error:
        sys.stderr.write(f"darkroom courier: {error}\n")
        raise SystemExit(1) from None


# Said at each lost connection, about late acks, which this service does not use.
warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
settings = _settings()
app = make_app(settings.redis)
app.set_current()
app.conf.worker_pool = "shared.bell.consumer:SlotPool"
app.conf.worker_concurrency = settings.webhooks.concurrency
app.conf.task_queues = [ring_queue(Keys(settings.redis.prefix), BELL)]
_running: list[Runtime] = []


@setup_logging.connect
def _set_up_logging(**_: Any) -> None:  # noqa: ANN401 - Celery's signature
    configure(settings.log)


@celeryd_init.connect
def _start(**_: Any) -> None:  # noqa: ANN401
    configure(settings.log)
    runtime = Runtime(settings)
    _running.append(runtime)
    runtime.start()


@worker_shutting_down.connect
def _drain(**_: Any) -> None:  # noqa: ANN401
    for runtime in _running:
        runtime.drain()


@worker_shutdown.connect
def _stop(**_: Any) -> None:  # noqa: ANN401
    while _running:
        _running.pop().close()


def _answer(bell: str) -> None:
    for runtime in _running if bell == BELL else ():
        runtime.rounds.go()


register(app, _answer)
