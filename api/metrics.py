"""What an API process counts itself. What Redis knows is read when it is asked for: ``operator/metrics.py``.

Where several processes serve one port, each writes its numbers to a file in a folder of theirs, and
whichever is asked adds them up.
"""

import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own name for it, read when it is imported
# A held call is answered after its job's whole life.
_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

REQUESTS: Final = Counter("darkroom_http_requests", "Requests answered.", ["method", "route", "status"])
SECONDS: Final = Histogram(
    "darkroom_http_request_duration_seconds",
    "From a request's head to its answer's last byte; a held call waits for its job.",
    ["route"],
    buckets=_BOUNDS_S,
)
REFUSALS: Final = Counter(
    "darkroom_http_errors", "Requests that were answered with an error, by code.", ["code"]
)
BLOCKED: Final = Counter(
    "darkroom_moderation_blocked",
    "Prompts that were blocked, by who found what, the gravest category of each.",
    ["moderator", "category"],
)
ENDPOINT_FAILURES: Final = Counter(
    "darkroom_moderation_endpoint_failures", "Questions that the moderation endpoint did not answer usably."
)
HELD: Final = Gauge("darkroom_held_calls", "Calls that wait for a job now.", multiprocess_mode="livesum")


def observe_request(scope: Mapping[str, Any], status: int, took_s: float) -> None:
    """Count a request by the route that took it; what no route takes is one route."""
    route = getattr(scope.get("route"), "path", "none")
    requests, seconds = _of_route(scope["method"] if route != "none" else "any", route, status)
    requests.inc()
    seconds.observe(took_s)


@cache  # finding them took longer than counting
def _of_route(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method=method, route=route, status=status), SECONDS.labels(route=route)


def registry() -> CollectorRegistry:
    """Return what this process counts, or all that share a port do."""
    if FOLDER not in os.environ:
        return REGISTRY
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared


def share() -> None:
    """Let the processes that are started from now on add up what they count."""
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="darkroom-metrics-")


def forget_the_dead() -> None:
    """Say that this process counts beside others, and take what dead ones held out of the sums."""
    folder = Path(os.environ[FOLDER])
    for file in folder.glob("*.serving"):
        if not _lives(int(file.stem)):
            mark_process_dead(int(file.stem), str(folder))  # type: ignore[no-untyped-call]
            file.unlink(missing_ok=True)
    (folder / f"{os.getpid()}.serving").touch()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
