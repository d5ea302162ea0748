"""What a worker does beside drawing: it renews its leases, reports progress, and reaps what others left."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.bell.ring import Doorbell
from shared.logs import get_logger
from shared.settings import JobSettings, WorkerSettings
from shared.ticker import Ticker
from worker.engine import Engine
from worker.ledger import Ledger
from worker.store import ModelLoad, WorkerStore
from worker.trace import tell_lost

log = get_logger(__name__)

PREVIEWS_S: Final = 0.05
WATCH_S: Final = 0.5
# Half a lease: so long before a silent engine is given up, its leases are left to lapse.
DOUBT_S: Final = 2.5
# Rings on their way for one model; a worker that answers one goes on claiming until nothing is left.
MAX_RINGS: Final = 64


class Watchdog:
    """Ends the process when the device has stopped answering.

    A hung kernel cannot be interrupted from here. With the process go its leases; its jobs move elsewhere.
    """

    def __init__(self, engine: Engine, ledger: Ledger, settings: WorkerSettings) -> None:
        self._engine = engine
        self._ledger = ledger
        self._settings = settings

    @property
    def stalled(self) -> bool:
        """Whether the engine has work and has shown no sign of life for too long."""
        return self._silent_for(self._limit_s)

    @property
    def doubtful(self) -> bool:
        """Whether it will soon be stalled: leases are renewed no more, so that the jobs move the sooner."""
        return self._silent_for(self._limit_s - min(self._limit_s / 2, DOUBT_S))

    @property
    def _limit_s(self) -> float:
        return self._settings.load_stall_s if self._engine.loading else self._settings.stall_s

    def _silent_for(self, seconds: float) -> bool:
        return len(self._ledger) > 0 and time.monotonic() - self._engine.last_tick_at > seconds

    def look(self) -> None:
        """End the process where the engine has stalled."""
        if self.stalled:
            log.critical("device.stalled", jobs=[each.attempt.job_id for each in self._ledger.all()])
            os._exit(70)  # EX_SOFTWARE; nothing that waits for the device could be run down in order


class Heartbeat:
    """Renews the worker's leases while its engine ticks, and passes on what it lost.

    ``about`` returns what the worker says of itself; its ``models`` are those it serves, and where it has
    ``low_slots`` it takes jobs of low priority.
    """

    def __init__(
        self,
        name: str,
        store: WorkerStore,
        ledger: Ledger,
        watchdog: Watchdog,
        about: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._name = name
        self._store = store
        self._ledger = ledger
        self._watchdog = watchdog
        self._about = about

    def renew(self) -> None:
        """Extend every lease; attempts that are no longer ours are told to stop.

        Raises:
            StoreUnavailable: Redis is away.
        """
        held = [(each.attempt.job_id, each.attempt.token) for each in self._ledger.all()]
        if self._watchdog.doubtful:
            held = []
        about = self._about()
        low = bool(about.get("low_slots"))
        lost = self._store.renew(self._name, about["models"], held, about, low=low)
        for each in self._ledger.lose(lost):
            attempt = each.attempt
            log.warning(
                "lease.lost",
                job_id=attempt.job_id,
                attempt=attempt.number,
                request_id=attempt.request_id,
                reason=each.stop_reason,
                **each.trace.ids,
            )

    def report(self) -> None:
        """Write the steps taken since the last report; ask at once about attempts that are no longer ours."""
        news = [mark for each in self._ledger.all() if (mark := each.news()) is not None]
        if news and self._store.progress(news) < len(news):
            self.renew()


class Reaper:
    """Puts right what dead workers left, and rings where work waits."""

    def __init__(self, store: WorkerStore, doorbell: Doorbell) -> None:
        self._store = store
        self._doorbell = doorbell

    def reap(self) -> None:
        """One tick; nothing where another worker has just reaped."""
        reaped = self._store.reap()
        if reaped is None:
            return
        counts = {
            "requeued": reaped.requeued,
            "lost": reaped.lost,
            "expired": reaped.expired,
            "abandoned": reaped.abandoned,
        }
        if any(counts.values()):
            log.warning("jobs.reaped", **counts)
        for lapsed in reaped.lapsed:
            log.warning(
                "attempt.lost",
                job_id=lapsed.job_id,
                attempt=lapsed.number,
                request_id=lapsed.request_id,
                worker=lapsed.worker,
                **tell_lost(lapsed),
            )
        for load in reaped.loads:
            # For what no living worker can read there is nobody to hear.
            heard = load.workers or (load.needs == 1 and not load.low)
            if load.queued and heard:
                self._doorbell.ring(load.model, self._missing(load), needs=load.needs)

    def _missing(self, load: ModelLoad) -> int:
        # Low jobs may wait for long while slots are free that are not theirs: those are kept from no work.
        most, rings = (load.workers, load.queued) if load.low else (MAX_RINGS, load.queued + 1)
        # One more than there are jobs: a worker that stops has slots free and listens, and answers no more.
        return max(0, min(rings, most) - self._doorbell.waiting(load.model, load.needs))


def tickers(
    settings: JobSettings,
    heartbeat: Heartbeat,
    reaper: Reaper,
    watchdog: Watchdog,
    send_previews: Callable[[], None],
) -> list[Ticker]:
    """Return the threads that keep a worker's word, not started yet."""
    return [
        Ticker("heartbeat", settings.heartbeat_s, heartbeat.renew),
        Ticker("progress", settings.progress_s, heartbeat.report),
        Ticker("previews", PREVIEWS_S, send_previews),
        Ticker("watchdog", WATCH_S, watchdog.look),
        Ticker("reaper", settings.reap_s, reaper.reap),
    ]
