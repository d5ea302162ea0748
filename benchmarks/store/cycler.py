"""Whole jobs from several processes: each submits, claims, renews and finishes as fast as it can."""

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from benchmarks.store.played import Played

SMALL = b"A" * 1024
_AT_ONCE = 8


@dataclass(frozen=True)
class Rate:
    """Whole jobs a second, and the share of a core that the server used meanwhile."""

    processes: int
    jobs_a_second: float
    server_share: float

    @property
    def ceiling(self) -> float:
        """Jobs a second at which the server would fill a core."""
        return self.jobs_a_second / self.server_share


def rate(played: Played, url: str, processes: int, owners: int, seconds: float) -> Rate:
    """Run the processes beside what is in the store already, which stays there."""
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(processes + 1), context.Queue()
    running = [
        context.Process(target=cycle, args=(url, owners, seconds, start, done)) for _ in range(processes)
    ]
    for each in running:
        each.start()
    start.wait(60)
    before, began_at = played.cpu_s(), time.monotonic()
    jobs = sum(done.get(timeout=seconds + 60) for _ in running)
    took_s = time.monotonic() - began_at
    used_s = played.cpu_s() - before
    for each in running:
        each.join()
    return Rate(processes, jobs / took_s, used_s / took_s)


def cycle(url: str, owners: int, seconds: float, start: Barrier, done: "Queue[int]") -> None:
    """Do jobs for so long, a few at a time, and say how many."""
    with Played(url) as played:
        jobs = 0
        start.wait(60)
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            played.submit(_AT_ONCE, owners)
            attempts = played.claim(_AT_ONCE)
            pairs = [(each.job_id, each.token) for each in attempts]
            played.worker.renew("played", ["light"], pairs, {"slots": _AT_ONCE, "rows": _AT_ONCE})
            played.finish(attempts, SMALL)
            jobs += _AT_ONCE
        done.put(jobs)
