"""What is measured of the store: calls, heartbeats, waiting processes, pictures, memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from benchmarks.store.played import MODEL, Played
from shared.redis_clients import sync_client
from shared.settings import JobSettings, RedisSettings
from worker.store import Attempt

SMALL: Final = b"A" * 1024
PICTURE: Final = b"A" * (2 * 1024**2)
HELD: Final = 8
_HOLD_CHUNK: Final = 1000
_BLOCK_MS: Final = 2000


@dataclass(frozen=True)
class Calls:
    """The server's CPU time in microseconds: of a call, of a renewal of eight jobs, of a hold of one job."""

    submit: float
    claim: float
    finish: float
    renew: float
    hold: float

    @property
    def job(self) -> float:
        """Of a job's three calls: what no job can do without."""
        return self.submit + self.claim + self.finish


def fill(played: Played, owners: int, queued: int) -> None:
    """Start anew with so many jobs waiting and the pace known, without which nothing is predicted."""
    played.empty()
    played.submit(1, owners)
    played.drain()
    played.submit(queued, owners)


def calls(played: Played, owners: int, queued: int, count: int) -> Calls:
    """Measure calls while so many jobs of so many owners wait."""
    fill(played, owners, queued)
    submit = played.cpu_us(count, lambda: played.submit(count, owners))
    waiting = played.client.zrange(played.keys.queue(MODEL), 0, _HOLD_CHUNK - 1)
    names = [name.decode() for name in waiting]
    hold = played.cpu_us(len(names), lambda: played.run(played.api.hold(names, "api-0")))
    attempts: list[Attempt] = []
    claim = played.cpu_us(count, lambda: attempts.extend(played.claim(count)))
    renew = played.cpu_us(count, lambda: [_renew(played, "played", attempts[:HELD]) for _ in range(count)])
    finish = played.cpu_us(count, lambda: played.finish(attempts, SMALL))
    return Calls(submit, claim, finish, renew, hold)


def _renew(played: Played, worker: str, attempts: list[Attempt]) -> None:
    pairs = [(each.job_id, each.token) for each in attempts]
    about = {"device": "NVIDIA H100 80GB HBM3", "slots": HELD, "models": [MODEL], "rows": len(pairs)}
    played.worker.renew(worker, [MODEL], pairs, about)


@dataclass(frozen=True)
class Fleet:
    """The server's CPU time for one second of many workers, in seconds: a share of a core."""

    workers: int
    renew: float
    progress: float
    reap: float

    @property
    def share(self) -> float:
        """All of it."""
        return self.renew + self.progress + self.reap


def fleet(played: Played, workers: int, held: int) -> Fleet:
    """Play what so many workers do in a second, by the settings' defaults, while each job takes steps."""
    played.empty()
    played.submit(workers * held, 1000)
    names = [f"gpu-{number:04d}:7:abcd" for number in range(workers)]
    of = {name: played.claim(held, want=held, worker=name) if held else [] for name in names}

    def renew() -> None:
        for name, attempts in of.items():
            _renew(played, name, attempts)

    def progress() -> None:
        for attempts in of.values():
            played.worker.progress([(each.job_id, each.token, 7, 28) for each in attempts])

    def reap() -> None:
        for _ in names:
            played.worker.reap()

    renew()  # the fleet is known from now on
    usual = JobSettings()
    return Fleet(
        workers,
        played.cpu_us(1, renew) / 1e6 / usual.heartbeat_s,
        played.cpu_us(1, progress) / 1e6 / usual.progress_s if held else 0.0,
        played.cpu_us(1, reap) / 1e6 / usual.reap_s,
    )


def readers_us(played: Played, url: str, readers: int, count: int) -> float:
    """Return the CPU time of a claim and a finish while so many API processes wait for news of jobs."""
    played.empty()
    played.submit(count, 10)
    with _reading(played, url, readers):
        return played.cpu_us(count, lambda: played.finish(played.claim(count), SMALL))


@contextmanager
def _reading(played: Played, url: str, readers: int) -> Iterator[None]:
    stopped = threading.Event()
    threads = [threading.Thread(target=_read, args=(played, url, stopped)) for _ in range(readers)]
    for thread in threads:
        thread.start()
    while played.client.info("clients")["blocked_clients"] < readers:
        stopped.wait(0.01)
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def _read(played: Played, url: str, stopped: threading.Event) -> None:
    """Wait as an API process does."""
    client: Any = sync_client(RedisSettings(url=SecretStr(url)), timeout_s=5)
    last = {played.keys.done: "0-0", played.keys.moved: "0-0"}
    with client:
        while not stopped.is_set():
            for stream, entries in client.xread(dict(last), count=500, block=_BLOCK_MS) or []:
                last[stream.decode()] = entries[-1][0].decode()


@dataclass(frozen=True)
class Picture:
    """One picture of 2 MB in base64: CPU of writing and reading it (ms), memory and file beyond its bytes."""

    write_ms: float
    read_ms: float
    memory_bytes: float
    file_bytes: float


def picture(played: Played, count: int) -> Picture:
    """Measure results of 2 MB."""
    played.empty()
    played.submit(count, 10)
    attempts = played.claim(count)
    file = played.file_bytes()
    write_us = played.cpu_us(count, lambda: played.finish(attempts, PICTURE))
    names = [played.keys.result(each.job_id) for each in attempts]
    read_us = played.cpu_us(count, lambda: [played.client.hmget(name, "0") for name in names])
    return Picture(
        write_us / 1000,
        read_us / 1000,
        sum(played.client.memory_usage(name) for name in names) / count,
        (played.file_bytes() - file) / count,
    )


@dataclass(frozen=True)
class Memory:
    """Bytes of a queued job, of a finished one without its picture, and of what its life adds to the file."""

    queued: float
    finished: float
    file: float


def memory(played: Played, owners: int, count: int) -> Memory:
    """Measure what jobs take, with a prompt of 172 characters."""
    fill(played, owners, 0)
    empty, file = played.memory_bytes(), played.file_bytes()
    played.submit(count, owners)
    queued = played.memory_bytes()
    while attempts := played.worker.claim(MODEL, "played", want=64, alone=True).attempts:
        played.finish(attempts, b"A")
        played.client.delete(*(played.keys.result(each.job_id) for each in attempts))
    finished, written = played.memory_bytes() - empty, played.file_bytes() - file
    return Memory((queued - empty) / count, finished / count, written / count)
