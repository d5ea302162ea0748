"""The engine turns image requests into images; it knows tensors and no jobs, no Redis and no settings."""

from worker.engine.engine import Engine
from worker.engine.request import ImageRequest, ImageResult, Inspector, Watcher

__all__ = ["Engine", "ImageRequest", "ImageResult", "Inspector", "Watcher"]
