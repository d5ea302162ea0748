"""What a worker does beside drawing: steady ticks, heartbeats, reports, and rings where work waits."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from shared.bell.ring import Doorbell
from shared.errors import StoreUnavailable
from shared.redis_clients import sync_client
from shared.settings import JobSettings, RedisSettings, WorkerSettings
from shared.ticker import Ticker
from tests.jobs import Caller
from tests.waiting import wait_until
from worker.attempt import Attempt
from worker.ledger import Ledger
from worker.store import WorkerStore
from worker.upkeep import Heartbeat, Reaper, Watchdog, tickers


class Counter:
    """Counts ticks; raises at those that it is told to."""

    def __init__(self, *failures: Exception | None) -> None:
        self.at: list[float] = []
        self._failures = failures

    def __call__(self) -> None:
        self.at.append(time.monotonic())
        if len(self.at) <= len(self._failures) and (error := self._failures[len(self.at) - 1]):
            raise error


def test_a_ticker_ticks_at_its_pace() -> None:
    counter = Counter()
    ticker = Ticker("test", 0.05, counter)
    started = time.monotonic()
    ticker.start()
    wait_until(lambda: len(counter.at) >= 5)
    ticker.stop()

    assert counter.at[4] - started >= 0.19


def test_a_ticker_of_a_long_pace_ticks_at_once() -> None:
    counter = Counter()
    ticker = Ticker("test", 3600, counter)
    ticker.start()

    wait_until(lambda: counter.at)

    ticker.stop()


def test_a_ticker_goes_on_whatever_its_function_raises() -> None:
    counter = Counter(StoreUnavailable(), ValueError("a bug"), None, RuntimeError("another"))
    ticker = Ticker("test", 0.001, counter)
    ticker.start()
    wait_until(lambda: len(counter.at) >= 6)

    assert ticker.is_alive()
    ticker.stop()


def test_a_stopped_ticker_ticks_no_more() -> None:
    counter = Counter()
    ticker = Ticker("test", 0.001, counter)
    ticker.start()
    wait_until(lambda: counter.at)

    ticker.stop()

    assert not ticker.is_alive()


def test_stopping_does_not_wait_for_a_long_pace() -> None:
    counter = Counter()
    ticker = Ticker("test", 3600, counter)
    ticker.start()
    wait_until(lambda: counter.at)

    started = time.monotonic()
    ticker.stop()

    assert time.monotonic() - started < 30
    assert len(counter.at) == 1


def test_a_late_tick_is_not_made_up_for() -> None:
    going, counter = threading.Event(), Counter()

    def slow() -> None:
        counter()
        going.wait(timeout=0.2 if len(counter.at) == 1 else 0)

    ticker = Ticker("test", 0.05, slow)
    ticker.start()
    wait_until(lambda: len(counter.at) >= 4)
    ticker.stop()

    gaps = [later - earlier for earlier, later in zip(counter.at, counter.at[1:], strict=False)]
    assert gaps[0] >= 0.19
    assert gaps[2] >= 0.04


@pytest.fixture
def store(redis_client: redis.Redis, prefix: str) -> WorkerStore:
    return WorkerStore(redis_client, JobSettings(), prefix)


@pytest.fixture
def caller(redis_client: redis.Redis, prefix: str) -> Caller:
    return Caller(redis_client, prefix)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def engine() -> Any:
    """An engine that has just shown a sign of life."""
    return SimpleNamespace(loading=False, last_tick_at=time.monotonic())


@pytest.fixture
def heartbeat(store: WorkerStore, ledger: Ledger, engine: Any) -> Heartbeat:
    watchdog = Watchdog(engine, ledger, WorkerSettings())
    return Heartbeat("w", store, ledger, watchdog, lambda: {"device": "cpu", "models": ["m"]})


def taken(store: WorkerStore) -> Attempt:
    (attempt,) = store.claim("m", "w", want=1, alone=True).attempts
    return attempt


def now_ms(caller: Caller) -> int:
    """The store's clock."""
    seconds, micros = caller.client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def test_a_silent_engines_leases_are_left_to_lapse_before_it_is_given_up(
    heartbeat: Heartbeat, ledger: Ledger, store: WorkerStore, caller: Caller, engine: Any
) -> None:
    caller.submit()
    held = ledger.add(taken(store))
    leases = store.keys.key("leases")
    before = caller.client.zscore(leases, held.attempt.job_id)
    wait_until(lambda: now_ms(caller) > before - 5000)
    limit_s = WorkerSettings().stall_s

    engine.last_tick_at = time.monotonic() - limit_s + 1
    heartbeat.renew()
    assert caller.client.zscore(leases, held.attempt.job_id) == before
    engine.last_tick_at = time.monotonic() - limit_s + 10
    heartbeat.renew()
    assert caller.client.zscore(leases, held.attempt.job_id) > before


def test_a_heartbeat_says_that_the_worker_lives_and_extends_its_leases(
    heartbeat: Heartbeat, ledger: Ledger, store: WorkerStore, caller: Caller
) -> None:
    caller.submit()
    held = ledger.add(taken(store))
    before = caller.client.zscore(store.keys.key("leases"), held.attempt.job_id)
    wait_until(lambda: now_ms(caller) > before - 5000, what="a later millisecond")

    heartbeat.renew()

    assert caller.client.zscore(store.keys.key("leases"), held.attempt.job_id) > before
    assert caller.client.zrange(store.keys.serving("m"), 0, -1) == [b"w"]
    assert not held.stop_requested()


def test_a_heartbeat_tells_attempts_that_are_no_longer_ours_to_stop(
    heartbeat: Heartbeat, ledger: Ledger, store: WorkerStore, caller: Caller
) -> None:
    caller.submit()
    held = ledger.add(taken(store))
    caller.cancel(held.attempt.job_id)

    heartbeat.renew()

    assert held.stop_reason == "cancelled"


def test_steps_are_reported_once(
    heartbeat: Heartbeat, ledger: Ledger, store: WorkerStore, caller: Caller
) -> None:
    job_id = caller.submit()
    held = ledger.add(taken(store))
    held.on_step(2, 8)

    heartbeat.report()
    assert (caller.record(job_id)["step"], caller.record(job_id)["steps"]) == ("2", "8")

    caller.client.hset(caller.keys.job(job_id), "step", 0)
    heartbeat.report()
    assert caller.record(job_id)["step"] == "0"


def test_a_report_about_a_cancelled_job_stops_it_at_once(
    heartbeat: Heartbeat, ledger: Ledger, store: WorkerStore, caller: Caller
) -> None:
    caller.submit()
    held = ledger.add(taken(store))
    caller.cancel(held.attempt.job_id)
    held.on_step(1, 8)

    heartbeat.report()

    assert held.stop_requested()


@pytest.mark.parametrize(
    ("held", "loading", "silent_s", "stalled"),
    [
        (True, False, 0, False),
        (True, False, 1e6, True),
        (False, False, 1e6, False),
        (True, True, 0, False),
        (True, True, 1e6, True),
    ],
)
def test_an_engine_has_stalled_when_it_has_work_and_says_nothing(
    ledger: Ledger, *, held: bool, loading: bool, silent_s: float, stalled: bool
) -> None:
    engine: Any = SimpleNamespace(loading=loading, last_tick_at=time.monotonic() - silent_s)
    if held:
        ledger.add(Attempt("a", "t", 1, "{}", 0, "req", 0))

    assert Watchdog(engine, ledger, WorkerSettings()).stalled is stalled


@pytest.fixture
def doorbell(redis_settings: RedisSettings) -> Iterator[Doorbell]:
    bell = Doorbell(redis_settings)
    yield bell
    bell.close()


@pytest.fixture
def reaping(redis_settings: RedisSettings) -> Iterator[tuple[WorkerStore, Caller]]:
    """A store whose reaper may tick every millisecond, on the real server that the doorbell needs."""
    client = sync_client(redis_settings)
    settings = JobSettings(reap_s=0.001)
    yield WorkerStore(client, settings, redis_settings.prefix), Caller(client, redis_settings.prefix)
    client.close()


def test_a_reaper_rings_for_each_waiting_job_once_and_once_for_who_stops(
    reaping: tuple[WorkerStore, Caller], doorbell: Doorbell
) -> None:
    store, caller = reaping
    reaper = Reaper(store, doorbell)
    store.renew("w", ["m"], [], {})
    for _ in range(3):
        caller.submit()

    wait_until(lambda: reaper.reap() or doorbell.waiting("m") == 4, what="four rings")
    for _ in range(5):
        reaper.reap()

    assert doorbell.waiting("m") == 4


def test_a_reaper_does_not_ring_for_more_than_workers_can_need(
    reaping: tuple[WorkerStore, Caller], doorbell: Doorbell
) -> None:
    store, caller = reaping
    store.renew("w", ["m"], [], {})
    for _ in range(100):
        caller.submit()

    wait_until(lambda: Reaper(store, doorbell).reap() or doorbell.waiting("m"), what="the rings")

    assert doorbell.waiting("m") == 64


def test_a_reaper_rings_those_who_can_read_what_waits_and_nobody_else(
    reaping: tuple[WorkerStore, Caller], doorbell: Doorbell
) -> None:
    _, caller = reaping
    store = WorkerStore(caller.client, JobSettings(), caller.keys.prefix, reads=1)
    reaper = Reaper(store, doorbell)
    newer = WorkerStore(caller.client, JobSettings(), caller.keys.prefix, reads=2)
    store.renew("w", ["m"], [], {})
    for needs in (1, 2, 2):
        caller.submit(needs=needs)

    wait_until(lambda: reaper.reap() or doorbell.waiting("m") == 2, what="two rings")
    assert doorbell.waiting("m", 2) == 0

    newer.renew("new", ["m"], [], {})
    wait_until(lambda: reaper.reap() or doorbell.waiting("m", 2) == 3, what="three rings for new workers")
    assert doorbell.waiting("m") == 2


@pytest.mark.slow
def test_a_reaper_rings_once_a_worker_for_low_jobs_and_not_where_nobody_takes_them(
    reaping: tuple[WorkerStore, Caller], doorbell: Doorbell
) -> None:
    store, caller = reaping
    reaper = Reaper(store, doorbell)
    store.renew("one", ["m"], [], {})
    for _ in range(5):
        caller.submit(low=True)

    for _ in range(5):
        reaper.reap()
        time.sleep(0.002)
    assert doorbell.waiting("m") == 0

    for name in ("two", "three"):
        store.renew(name, ["m"], [], {}, low=True)
    wait_until(lambda: reaper.reap() or doorbell.waiting("m"), what="the rings")
    assert doorbell.waiting("m") == 2


def test_a_reaper_is_quiet_where_nothing_waits(
    reaping: tuple[WorkerStore, Caller], doorbell: Doorbell
) -> None:
    store, caller = reaping
    store.renew("w", ["m"], [], {})
    caller.submit()
    taken(store)

    Reaper(store, doorbell).reap()

    assert doorbell.waiting("m") == 0


@pytest.mark.slow
def test_heartbeat_progress_and_reaper_have_the_pace_of_the_settings() -> None:
    nothing: Any = SimpleNamespace(renew=None, report=None, reap=None, look=None)
    settings = JobSettings(heartbeat_s=2, progress_s=3, reap_s=4, lease_s=9)

    found = {each.name: each._period_s for each in tickers(settings, nothing, nothing, nothing, lambda: None)}

    assert (found["heartbeat"], found["progress"], found["reaper"]) == (2, 3, 4)
