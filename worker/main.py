"""The worker's entry point: ``celery -A worker.main worker``, configured by the environment alone."""

import sys
import warnings
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.signals import celeryd_init, setup_logging, worker_shutdown, worker_shutting_down

from shared import tracing
from shared.bell.celery_app import make_app
from shared.bell.tasks import register, ring_queue
from shared.errors import ConfigurationError
from shared.jobs.keys import Keys
from shared.logs import configure
from shared.params import PARAMS_VERSION
from shared.settings import Settings, read_settings
from worker.monitoring import let_watch
from worker.runtime import Runtime, served_models


def _give_up(error: Exception) -> None:
    """End the process with one clear line; Celery would log an exception and carry on without a model."""
    sys.stderr.write(f"darkroom worker: {error}\n")
    raise SystemExit(1) from None


def _settings() -> Settings:
    try:
        return read_settings()
    except ConfigurationError as error:
        _give_up(error)
        raise


# Said at each lost connection, about late acks, which this service does not use.
warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
settings = _settings()
app = make_app(settings.redis)
app.set_current()
# Threads, never prefork: a CUDA context does not survive a fork, and every slot feeds the one engine.
app.conf.worker_pool = "shared.bell.consumer:SlotPool"
if settings.worker.celery_monitoring:
    let_watch(app)
_running: list[Runtime] = []


@setup_logging.connect
def _set_up_logging(**_: Any) -> None:  # noqa: ANN401 - Celery's signature
    configure(settings.log)


@celeryd_init.connect
def _start(**_: Any) -> None:  # noqa: ANN401
    configure(settings.log)
    try:
        tracing.configure(settings.tracing, "darkroom-worker", settings.worker.name or "")
        models = served_models(settings)
        keys, versions = Keys(settings.redis.prefix), range(1, PARAMS_VERSION + 1)
        app.conf.task_queues = [ring_queue(keys, model, needs) for model in models for needs in versions]
        runtime = Runtime(settings)
    except ConfigurationError as error:
        _give_up(error)
        return
    app.conf.worker_concurrency = runtime.slots
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
    tracing.close()


def _answer(model: str) -> None:
    for runtime in _running:
        runtime.runner.answer(model)


register(app, _answer)
