"""The real worker with the light engine: ``celery -A tests.faults.programs.faulty_worker worker``.

The engine is replaced before the worker is imported, so torch is not: a worker starts in a second.
"""

import importlib
import sys
import types

from celery import Celery

import worker
from shared.settings import REPO_ROOT


def replace_engine() -> None:
    """Put the light engine where the worker looks for the real one; its request types are the real ones."""
    package = types.ModuleType("worker.engine")
    package.__path__ = [str(REPO_ROOT / "worker" / "engine")]
    sys.modules["worker.engine"] = worker.engine = package
    request = importlib.import_module("worker.engine.request")
    for name in ("ImageRequest", "ImageResult", "TuningChoice", "Watcher"):
        setattr(package, name, getattr(request, name))
    package.Engine = importlib.import_module("tests.faults.programs.light_engine").LightEngine


def make_app() -> Celery:
    """Return the worker's application."""
    replace_engine()
    made: Celery = importlib.import_module("worker.main").app
    return made


app = make_app()
