"""Everything one worker process is made of, built when Celery starts it and taken apart when it stops."""

import os
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shared.bell.ring import Doorbell
from shared.catalogue import Catalogue
from shared.errors import CatalogueError
from shared.logs import get_logger
from shared.objects import open_store
from shared.params import PARAMS_VERSION
from shared.redis_clients import sync_client
from shared.settings import Settings, WorkerSettings
from shared.ticker import Ticker
from worker.claiming import Claims, Room
from worker.engine import Engine, TuningChoice
from worker.inspection import build_inspection
from worker.ledger import Ledger
from worker.metrics import expect_models, expect_objects, serve, watch_batch, watch_memory
from worker.planning import Planner
from worker.previews import Outbox
from worker.runner import Runner
from worker.store import WorkerStore
from worker.upkeep import Heartbeat, Reaper, Watchdog, tickers
from worker.uploads import DELETE_S, Deleter, Uploads

if TYPE_CHECKING:
    from worker.engine import Tuning

log = get_logger(__name__)


def served_models(settings: Settings) -> tuple[str, ...]:
    """Return the names of the models that a worker with these settings serves.

    Raises:
        CatalogueError: an entry cannot be used, or there is none.
    """
    catalogue = Catalogue.load(settings.models.catalogue)
    names = tuple(spec.name for spec in catalogue.local(settings.models.enabled))
    if not names:
        message = f"no model of {settings.models.catalogue} has its weights on this machine"
        raise CatalogueError(message)
    return names


def worker_name(settings: WorkerSettings) -> str:
    """Return the name of this process: the one that is set, or one that no other process has ever had.

    It begins with the host, by which the health check of a container finds its own.
    """
    if settings.name is not None:
        return settings.name
    label = () if settings.device_label is None else (settings.device_label,)
    return ":".join((socket.gethostname(), *label, str(os.getpid()), secrets.token_hex(2)))


def device_in_words(settings: WorkerSettings, device: str) -> str:
    """Return the device for the operator's view; every process that sees one GPU alone has a ``cuda:0``."""
    return device if settings.device_label is None else f"{settings.device_label}: {device}"


def room_of(settings: WorkerSettings, capacity: int) -> Room:
    """Return how many jobs a worker holds at once whose engine draws so many images together."""
    slots = settings.slots or capacity
    return Room(slots, slots if settings.low_slots is None else settings.low_slots)


def runs_as(tunings: Mapping[str, "Tuning"]) -> dict[str, Any]:
    """Return how models run, by name, as a heartbeat says it."""
    return {
        name: {
            stage: {"modes": tuned.modes, "images": tuned.images} for stage, tuned in tuning.stages.items()
        }
        for name, tuning in tunings.items()
    }


class Runtime:
    """One running worker."""

    def __init__(self, settings: Settings) -> None:
        """Build everything and load the model; blocks until the engine is warm.

        Raises:
            ConfigurationError: a model's weights are missing or broken, or what is to look at pictures is.
        """
        catalogue = Catalogue.load(settings.models.catalogue)
        specs = {spec.name: spec for spec in catalogue.local(settings.models.enabled)}
        self._settings = settings
        self.engine = Engine(
            {name: (spec, catalogue.check_weights(spec)) for name, spec in specs.items()},
            settings.worker.device,
            torch_threads=settings.worker.torch_threads,
            tuning=TuningChoice(settings.worker.tuning, settings.worker.tuning_file),
            model_memory_bytes=settings.worker.model_memory_bytes,
        )
        inspection = build_inspection(settings.moderation)
        objects = open_store(settings.results)
        self.engine.start()
        self._room = room = room_of(settings.worker, self.engine.capacity)
        self.slots = sum(room)
        """Jobs that it holds at once, those of low priority too."""
        self.name = worker_name(settings.worker)
        self._client = sync_client(settings.redis)
        store = WorkerStore(self._client, settings.jobs, settings.redis.prefix)
        outbox = Outbox()
        self._ledger = Ledger(outbox)
        planner = Planner(specs, inspection)
        claims = Claims(self.name, store, self._ledger, room)
        self.runner = Runner(claims, store, self.engine, planner, self._ledger, settings.worker)
        said = {
            "device": device_in_words(settings.worker, self.engine.device_name),
            "slots": room.slots,
            "low_slots": room.low_slots,
            "models": list(specs),
            "reads": PARAMS_VERSION,
        }
        self._doorbell = Doorbell(settings.redis)
        watchdog = Watchdog(self.engine, self._ledger, settings.worker)
        heartbeat = Heartbeat(
            self.name,
            store,
            self._ledger,
            watchdog,
            lambda: {**said, "rows": self.engine.rows, "runs_as": runs_as(self.engine.tunings)},
        )
        self._tickers = tickers(
            settings.jobs, heartbeat, Reaper(store, self._doorbell), watchdog, lambda: outbox.send(store)
        )
        if objects is not None:
            self.runner.uploads = Uploads(store, objects, settings.results, settings.worker.keep_result_s)
            # On a thread of its own: no lease waits for a store far away.
            delete = Deleter(store, objects, settings.results).delete
            self._tickers.append(Ticker("deleter", DELETE_S, delete))
            expect_objects()
        self._hand_back: threading.Timer | None = None
        self._metrics: Callable[[], None] | None = None
        expect_models(specs)
        watch_batch(lambda: self.engine.rows, self.engine.capacity)
        watch_memory(lambda: self.engine.memory_bytes)

    def start(self) -> None:
        """Let the world know that this worker is there."""
        for ticker in self._tickers:
            ticker.start()
        if self._settings.worker.metrics_port is not None:
            self._metrics = serve(self._settings.worker.metrics_port, self._settings.worker.metrics_host)
        device, room = self.engine.device_name, self._room
        log.info(
            "worker.started", worker=self.name, device=device, slots=room.slots, low_slots=room.low_slots
        )

    def drain(self) -> None:
        """Claim nothing more; hand back what still runs after ``drain_s``, or at a second call."""
        if self.runner.draining.is_set():
            self._ledger.hand_back()
            return
        self.runner.draining.set()
        self._hand_back = threading.Timer(self._settings.worker.drain_s, self._ledger.hand_back)
        self._hand_back.daemon = True
        self._hand_back.start()

    def close(self) -> None:
        """Take everything apart; the slots are empty by now."""
        if self._hand_back is not None:
            self._hand_back.cancel()
        for ticker in self._tickers:
            ticker.stop()
        if self._metrics is not None:
            self._metrics()
        self.engine.close()
        self._doorbell.close()
        self._client.close()
        log.info("worker.stopped", worker=self.name)
