"""Everything one worker process is made of, built when Celery starts it and taken apart when it stops."""

import os
import secrets
import socket
import threading
from collections.abc import Callable

from shared.catalogue import Catalogue
from shared.celery_app import Doorbell
from shared.errors import CatalogueError
from shared.logs import get_logger
from shared.params import PARAMS_VERSION
from shared.redis_clients import sync_client
from shared.settings import Settings
from worker.engine import Engine
from worker.inspection import build_inspection
from worker.ledger import Ledger
from worker.metrics import serve, watch_batch, watch_memory
from worker.planning import Planner
from worker.previews import Outbox
from worker.runner import Runner
from worker.store import WorkerStore
from worker.upkeep import Heartbeat, Reaper, Watchdog, tickers

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
            model_memory_bytes=settings.worker.model_memory_bytes,
        )
        inspection = build_inspection(settings.moderation)
        self.engine.start()
        self.slots = settings.worker.slots or self.engine.capacity
        self.name = settings.worker.name or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"
        self._client = sync_client(settings.redis)
        store = WorkerStore(self._client, settings.jobs, settings.redis.prefix)
        outbox = Outbox()
        self._ledger = Ledger(outbox)
        planner = Planner(specs, inspection)
        self.runner = Runner(self.name, store, self.engine, planner, self._ledger, settings.worker)
        said = {
            "device": self.engine.device_name,
            "slots": self.slots,
            "models": list(specs),
            "reads": PARAMS_VERSION,
        }
        self._doorbell = Doorbell(settings.redis)
        watchdog = Watchdog(self.engine, self._ledger, settings.worker)
        heartbeat = Heartbeat(
            self.name, store, self._ledger, watchdog, lambda: {**said, "rows": self.engine.rows}
        )
        self._tickers = tickers(
            settings.jobs, heartbeat, Reaper(store, self._doorbell), watchdog, lambda: outbox.send(store)
        )
        self._hand_back: threading.Timer | None = None
        self._metrics: Callable[[], None] | None = None
        watch_batch(lambda: self.engine.rows, self.engine.capacity)
        watch_memory(lambda: self.engine.memory_bytes)

    def start(self) -> None:
        """Let the world know that this worker is there."""
        for ticker in self._tickers:
            ticker.start()
        if self._settings.worker.metrics_port is not None:
            self._metrics = serve(self._settings.worker.metrics_port, self._settings.worker.metrics_host)
        log.info("worker.started", worker=self.name, device=self.engine.device_name, slots=self.slots)

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
