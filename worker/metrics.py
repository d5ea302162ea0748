"""What a worker counts itself, for Prometheus; whatever all workers have in common is counted in Redis."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, start_http_server

_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

ATTEMPTS: Final = Counter("darkroom_worker_attempts", "Attempts that ended here.", ["model", "outcome"])
STAGES: Final = Histogram(
    "darkroom_worker_stage_seconds",
    "What a successful attempt spent in each stage: queue, load, denoise, decode, inspect, encode, deliver.",
    ["model", "stage"],
    buckets=_BOUNDS_S,
)
STEPS: Final = Histogram(
    "darkroom_worker_step_seconds",
    "A denoising step, as the attempt saw it: with the steps of others in between.",
    ["model"],
    buckets=_BOUNDS_S,
)
NO_NUMBERS: Final = Counter(
    "darkroom_worker_no_numbers",
    "Images, not previews, whose decoded values were no numbers: mended in full precision, or failed.",
    ["model", "outcome"],
)
UPLOADS: Final = Counter(
    "darkroom_worker_uploads",
    "Pictures on their way to the store of results: succeeded, failed for good, or retried.",
    ["outcome"],
)
UPLOAD_SECONDS: Final = Histogram(
    "darkroom_worker_upload_seconds",
    "How long a picture took into the store of results, with its retries.",
    buckets=_BOUNDS_S,
)
DELETED: Final = Counter(
    "darkroom_worker_objects_deleted",
    "Expired objects of the store of results: deleted, or failed to be and tried again.",
    ["outcome"],
)
OCCUPANCY: Final = Gauge(
    "darkroom_worker_batch_occupancy", "Images that are denoised now, of those that fit."
)

MEMORY: Final = Gauge(
    "darkroom_worker_device_memory_bytes",
    "Memory of the device that is taken; on a CPU, what the worker has taken.",
)
MEMORY_LIMIT: Final = Gauge("darkroom_worker_device_memory_limit_bytes", "All memory of the device.")


def observe_attempt(model: str, outcome: str, stages: Mapping[str, float], steps: int) -> None:
    """Count an attempt that ended; ``stages`` in seconds, empty where it ended without a picture."""
    ATTEMPTS.labels(model=model, outcome=outcome).inc()
    for stage, seconds in stages.items():
        STAGES.labels(model=model, stage=stage).observe(seconds)
    if steps and "denoise" in stages:
        STEPS.labels(model=model).observe(stages["denoise"] / steps)


def expect_models(models: Iterable[str]) -> None:
    """Begin to count for models: a series that begins with its first event has no rate of it."""
    for model in models:
        for outcome in ("mended", "failed"):
            NO_NUMBERS.labels(model=model, outcome=outcome)


def observe_no_numbers(model: str, *, mended: bool) -> None:
    """Count an image whose values were no numbers."""
    NO_NUMBERS.labels(model=model, outcome="mended" if mended else "failed").inc()


def expect_objects() -> None:
    """Begin to count what goes into the store of results and out of it."""
    for outcome in ("succeeded", "failed", "retried"):
        UPLOADS.labels(outcome=outcome)
    for outcome in ("deleted", "failed"):
        DELETED.labels(outcome=outcome)


def observe_upload(outcome: str, seconds: float | None = None) -> None:
    """Count a picture that was written, or was not; ``seconds`` of one that was."""
    UPLOADS.labels(outcome=outcome).inc()
    if seconds is not None:
        UPLOAD_SECONDS.observe(seconds)


def observe_deleted(outcome: str, objects: int) -> None:
    """Count objects that were deleted, or were not."""
    DELETED.labels(outcome=outcome).inc(objects)


def watch_batch(rows: Callable[[], int], capacity: int) -> None:
    """Show how full the batch is whenever somebody asks."""
    OCCUPANCY.set_function(lambda: rows() / max(1, capacity))


def watch_memory(memory_bytes: Callable[[], tuple[int, int]]) -> None:
    """Show how full the device's memory is whenever somebody asks: what is taken, and all of it."""
    MEMORY.set_function(lambda: memory_bytes()[0])
    MEMORY_LIMIT.set_function(lambda: memory_bytes()[1])


def serve(port: int, host: str) -> Callable[[], None]:
    """Show the metrics over HTTP from a thread; return what ends it."""
    server, thread = start_http_server(port, host)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
