"""The engine turns image requests into images; it knows no jobs, no Redis and no settings."""

from worker.engine.engine import Engine
from worker.engine.request import Edit, ImageRequest, ImageResult, Inspector, TuningChoice, Watcher
from worker.engine.rows.tuning import Tuning

__all__ = ["Edit", "Engine", "ImageRequest", "ImageResult", "Inspector", "Tuning", "TuningChoice", "Watcher"]
