"""``GET /metrics``: what this service counts, as Prometheus reads it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.responses import Response
from typing_extensions import override

from api.callers.caller import Admin
from api.metrics import registry
from api.provided import SettingsDep
from api.schemas import ErrorBody
from api.store.observation import ObservationStore, ObservationStoreDep, Tallies
from api.store.overview import Overview
from api.store.underway import BatchState
from api.store.webhooks import WebhookState
from shared.errors import StoreUnavailable
from shared.printable import printable

router = APIRouter(tags=["health"])

# Those of finish.lua, which counts.
BOUNDS_MS: Final = (100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000, 600000)

# Name, what it is, and the member of QueueState that it shows.
_OF_A_MODEL: Final = (
    ("darkroom_jobs_queued", "Jobs that wait, but for those of low priority.", "queued"),
    ("darkroom_low_jobs_queued", "Jobs of low priority that wait.", "low"),
    (
        "darkroom_jobs_unreadable",
        "Of those, jobs that wait for a worker of a later version than any that lives.",
        "unreadable",
    ),
    ("darkroom_jobs_running", "Jobs that workers hold.", "running"),
    ("darkroom_oldest_queued_age_seconds", "How long the oldest queued job has waited.", "oldest_s"),
    ("darkroom_workers", "Live workers that serve the model.", "workers"),
    (
        "darkroom_eta_error_ratio",
        "By how much predicted ends are missed of late, of the time taken.",
        "eta_error",
    ),
)
_OF_A_WORKER: Final = (
    ("darkroom_worker_rows", "Images that a worker denoises now.", "rows"),
    ("darkroom_worker_slots", "Jobs that a worker can hold.", "capacity"),
    ("darkroom_worker_reads", "The version of jobs' params that a worker reads.", "reads"),
)
# What the scripts count, under which name, and the label that tells its values apart.
_ENDS: Final = {
    "ended": ("darkroom_jobs_ended", "Jobs that ended.", "status"),
    "failed": ("darkroom_jobs_failed", "Jobs that failed, by their error.", "code"),
}
_DURATIONS: Final = {
    "wait": (
        "darkroom_job_wait_seconds",
        "From a job's submission to the start of the attempt that succeeded; not of low priority.",
    ),
    "run": ("darkroom_job_run_seconds", "From the start of the attempt that succeeded to its end; likewise."),
    "total": ("darkroom_job_duration_seconds", "From a job's submission to its picture; likewise."),
}


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus's text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        401: {"model": ErrorBody, "description": "The API key is missing or wrong."},
        403: {"model": ErrorBody, "description": "The API key lacks the scope `admin`."},
    },
)
async def metrics(_: Admin, observation: ObservationStoreDep, settings: SettingsDep) -> Response:
    """Queues, workers, jobs, requests; without Redis what processes count, and ``darkroom_store_up 0``."""
    families = await _of_the_store(observation, settings.jobs.lease_s)
    store = CollectorRegistry()
    store.register(_Families(families))
    text = generate_latest(registry()) + generate_latest(store)
    return Response(text, 200, {"content-type": CONTENT_TYPE_LATEST})


class _Families(Collector):
    """Metrics that were read just now."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    @override
    def collect(self) -> Iterable[Metric]:
        return self._families


async def _of_the_store(observation: ObservationStore, live_s: float) -> list[Metric]:
    up = GaugeMetricFamily("darkroom_store_up", "Whether Redis answers.")
    try:
        seen = await observation.overview(live_s)
        of_jobs = _of_jobs(await observation.tallies())
        found = [*_of_models(seen), *_of_workers(seen), *_of_webhooks(seen.webhooks)]
        found += [*_of_batches(seen.batches), *of_jobs]
    except StoreUnavailable:
        up.add_metric([], 0)
        return [up]
    up.add_metric([], 1)
    return [up, *found]


def _of_models(seen: Overview) -> Iterator[Metric]:
    for name, words, member in _OF_A_MODEL:
        family = GaugeMetricFamily(name, words, labels=["model"])
        for queue in seen.models:
            value = getattr(queue, member)
            if value is not None:
                family.add_metric([queue.model], value)
        yield family


def _of_workers(seen: Overview) -> Iterator[Metric]:
    for name, words, member in _OF_A_WORKER:
        family = GaugeMetricFamily(name, words, labels=["worker"])
        for worker in seen.workers:
            family.add_metric([printable(worker.name)], getattr(worker, member))
        yield family


def _of_webhooks(seen: WebhookState) -> Iterator[Metric]:
    yield _gauge("darkroom_couriers", "Live couriers.", seen.couriers)
    yield _gauge("darkroom_webhooks_pending", "Ends of jobs that are to be told.", seen.pending)
    yield _gauge(
        "darkroom_webhooks_late_seconds", "How long the first of them could have been tried.", seen.late_s
    )
    tries = CounterMetricFamily("darkroom_webhooks", "Tries to tell, by outcome.", labels=["outcome"])
    for outcome in ("delivered", "failed", "given_up"):
        tries.add_metric([outcome], getattr(seen, outcome))
    yield tries


def _of_batches(seen: BatchState) -> Iterator[Metric]:
    yield _gauge("darkroom_batches_unfinished", "Batches that have not ended.", seen.unfinished)
    yield _gauge(
        "darkroom_batches_late_seconds", "How long the first of them could have been worked on.", seen.late_s
    )
    ended = CounterMetricFamily("darkroom_batches_ended", "Batches that ended.", labels=["status"])
    for status in ("completed", "failed", "expired", "cancelled"):
        ended.add_metric([status], getattr(seen, status))
    yield ended


def _of_jobs(tallies: Tallies) -> Iterator[Metric]:
    yield _gauge("darkroom_results", "Results that can be fetched.", tallies.results)
    yield _gauge("darkroom_result_bytes", "What they take in Redis.", tallies.result_bytes)
    yield _gauge("darkroom_jobs_dead", "Jobs on the list of the dead.", tallies.dead)
    yield _gauge("darkroom_store_memory_bytes", "Memory that Redis uses.", tallies.memory_bytes)
    yield _gauge(
        "darkroom_store_memory_limit_bytes", "Redis's maxmemory; 0: none.", tallies.memory_limit_bytes
    )
    yield from _counted(tallies.counts)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _counted(counts: Mapping[str, int]) -> Iterator[Metric]:
    """Yield what the scripts counted, by ``model:what:value``."""
    by_what: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for name, amount in counts.items():
        model, what, value = name.rsplit(":", 2)
        by_what[what][model][value] = amount
    for what, (name_, words, label) in _ENDS.items():
        family = CounterMetricFamily(name_, words, labels=["model", label])
        for model, values in by_what[what].items():
            for value, times in values.items():
                family.add_metric([model, value], times)
        yield family
    requeued = CounterMetricFamily(
        "darkroom_attempts_requeued", "Attempts whose job was queued again.", labels=["model"]
    )
    for model, values in by_what["attempts"].items():
        requeued.add_metric([model], values.get("requeued", 0))
    yield requeued
    for what, (name_, words) in _DURATIONS.items():
        yield _histogram(name_, words, by_what[what])


def _histogram(name: str, words: str, of_models: Mapping[str, Mapping[str, int]]) -> Metric:
    family = HistogramMetricFamily(name, words, labels=["model"])
    for model, values in of_models.items():
        buckets, so_far = [], 0
        for bound in BOUNDS_MS:
            so_far += values.get(str(bound), 0)
            buckets.append((str(bound / 1000), float(so_far)))
        buckets.append(("+Inf", float(so_far + values.get("inf", 0))))
        family.add_metric([model], buckets=buckets, sum_value=values.get("sum", 0) / 1000)
    return family
