"""A request on its way through the engine."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from time import perf_counter

from worker.engine.request import ImageRequest, ImageResult, Watcher


@dataclass(frozen=True, eq=False)
class Work:
    """A submitted request, who watches it, and where its images are awaited."""

    request: ImageRequest
    watcher: Watcher
    future: Future[ImageResult] = field(default_factory=Future)
    submitted_at: float = field(default_factory=perf_counter)
