"""A request on its way through the engine."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from time import perf_counter

from worker.engine.request import ImageRequest, ImageResult, SpoiltWatcher, StageWatcher, Watcher


@dataclass(frozen=True, eq=False)
class Work:
    """A submitted request, who watches it, and where its images are awaited."""

    request: ImageRequest
    watcher: Watcher
    future: Future[ImageResult] = field(default_factory=Future)
    submitted_at: float = field(default_factory=perf_counter)

    def tell_stage(self, stage: str, began_at: float, ended_at: float) -> None:
        """Tell the watcher when a stage was, if it takes note of that; instants by ``perf_counter``."""
        if isinstance(self.watcher, StageWatcher):
            self.watcher.on_stage(stage, began_at, ended_at)

    def tell_no_numbers(self, *, mended: bool) -> None:
        """Tell the watcher of an image whose values were no numbers, if it takes note of that."""
        if isinstance(self.watcher, SpoiltWatcher):
            self.watcher.on_no_numbers(self.request.model, mended=mended)
