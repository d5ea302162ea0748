"""Waiting for jobs: one blocking read of two streams wakes every held call of this process.

The order is: register, then read the status, then wait. A job that ends before the read is seen by the read;
one that ends after it is seen by the stream. A job that was made just now needs no read: its end comes by the
stream, or is among the latest that came. A sweep every few seconds, and after each reconnect, catches
what a trimmed or lost stream could hide.
"""

import asyncio
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

import redis.asyncio as aioredis
from redis.exceptions import RedisError

from api.cancelling import cancel_all
from api.store.jobs import JobStore
from shared.errors import Stopping, StoreUnavailable
from shared.jobs.status import Status
from shared.logs import get_logger
from shared.redis_reasons import reason_of

log = get_logger(__name__)

BLOCK_MS: Final = 2000
# The blocking read's own socket time-out: longer than the block, or every quiet read would be an error.
READ_TIMEOUT_S: Final = 5.0
# With the sweep itself, no call learns of its job's end more than 3 s late.
SWEEP_S: Final = 2.5
# So few at a time that who asks meanwhile does not notice the sweep.
_CHUNK: Final = 100
_FROM_THE_START: Final = "0-0"
# Ends of two seconds and more at the pace of one process.
_MOST_REMEMBERED: Final = 2000

State = tuple[Status, int]


class Woken(Enum):
    """Why a call waits no longer."""

    JOB = auto()
    TIME = auto()
    CALLER_GONE = auto()
    STOPPING = auto()


@dataclass(eq=False, slots=True)
class Waiter:
    """One call that waits for one job: to leave the state ``seen``, or, where that is None, to end."""

    job_id: str
    seen: State | None = None
    woken: asyncio.Future[Woken] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def concerns(self, state: State | None) -> bool:
        """Whether a job in ``state`` (None: gone) is what this call waits for."""
        return state is None or state[0].terminal or (self.seen is not None and state != self.seen)

    def wake(self, why: Woken) -> None:
        """Let the call go on; the first who wakes it says why."""
        if not self.woken.done():
            self.woken.set_result(why)


class JobWatch:
    """Wakes held calls. Start it once a process; it uses one connection, however many calls wait."""

    def __init__(self, client: aioredis.Redis, store: JobStore) -> None:
        self._client: Any = client  # redis-py's types are those of any protocol and decoding
        self._store = store
        self._waiting: dict[str, list[Waiter]] = {}
        self._last: dict[str, str] = {}
        self._ended: dict[str, None] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return sum(map(len, self._waiting.values()))

    def start(self) -> None:
        """Start reading."""
        self._tasks = [asyncio.create_task(self._read_forever()), asyncio.create_task(self._sweep_forever())]

    async def close(self) -> None:
        """Stop reading."""
        await cancel_all(self._tasks)

    def let_go(self) -> None:
        """Send every call away that waits, or would: this process stops, and jobs go on without it."""
        self._stopping = True
        for waiter in self._waiters():
            waiter.wake(Woken.STOPPING)

    async def wait(self, waiter: Waiter, timeout_s: float, *, fresh: bool = False) -> Woken:
        """Let a call wait; return why it waits no longer.

        Args:
            waiter: the call.
            timeout_s: the longest wait.
            fresh: the job was made a moment ago, so that its end is still to be read or was read just now.
        """
        waiters = self._waiting.setdefault(waiter.job_id, [])
        waiters.append(waiter)
        timer = asyncio.get_running_loop().call_later(timeout_s, waiter.wake, Woken.TIME)
        try:
            if self._stopping:
                waiter.wake(Woken.STOPPING)
            elif await self._is_over(waiter, fresh=fresh):
                waiter.wake(Woken.JOB)
            return await waiter.woken
        finally:
            timer.cancel()
            waiters.remove(waiter)
            if not waiters:
                del self._waiting[waiter.job_id]

    async def ended(self, job_id: str, timeout_s: float) -> bool:
        """Wait until a job has ended; False when ``timeout_s`` passed first.

        Raises:
            Stopping: this process was told to end; a retry attaches to the job at another one.
        """
        return await self._woken(Waiter(job_id), timeout_s)

    async def changed(self, job_id: str, seen: State, timeout_s: float) -> bool:
        """Wait until a job has left the state ``seen``; everything else is as with :meth:`ended`."""
        return await self._woken(Waiter(job_id, seen), timeout_s)

    async def _woken(self, waiter: Waiter, timeout_s: float) -> bool:
        why = await self.wait(waiter, timeout_s)
        if why is Woken.STOPPING:
            raise Stopping(job_id=waiter.job_id, retry_after_s=1)
        return why is Woken.JOB

    async def _is_over(self, waiter: Waiter, *, fresh: bool) -> bool:
        return waiter.job_id in self._ended if fresh else waiter.concerns(await self._state(waiter))

    def _waiters(self) -> list[Waiter]:
        return [waiter for waiters in self._waiting.values() for waiter in waiters]

    async def _state(self, waiter: Waiter) -> State | None:
        try:
            (state,) = await self._store.statuses([waiter.job_id])
        except StoreUnavailable:
            # The job is safe where it is; the sweep after the reconnect looks again.
            return waiter.seen or (Status.QUEUED, 0)
        return state

    async def _read_forever(self) -> None:
        connected, told = False, ""
        while True:
            try:
                if not connected:
                    await self._find_ends()
                    await self._sweep()
                    connected, told = True, ""
                for stream, entries in (
                    await self._client.xread(dict(self._last), count=500, block=BLOCK_MS) or []
                ):
                    self._take(stream, entries)
            except (RedisError, OSError, StoreUnavailable) as error:
                # Once a reason: a wrong password, or a server without TLS, says so in the first second.
                reason = reason_of(error)
                if connected or reason != told:
                    log.warning("watch.disconnected", reason=reason)
                connected, told = False, reason
                await asyncio.sleep(0.1)

    async def _find_ends(self) -> None:
        # `$` would mean another instant at each read; a concrete id leaves no gap.
        for stream in (self._store.keys.done, self._store.keys.moved):
            if stream not in self._last:
                newest = await self._client.xrevrange(stream, count=1)
                self._last[stream] = newest[0][0].decode() if newest else _FROM_THE_START

    def _take(self, stream: bytes, entries: list[tuple[bytes, dict[bytes, Any]]]) -> None:
        ending = stream.decode() == self._store.keys.done
        for entry_id, values in entries:
            self._last[stream.decode()] = entry_id.decode()
            job_id = values[b"id"].decode()
            if ending:
                self._remember(job_id)
            for waiter in self._waiting.get(job_id, ()):
                if ending or waiter.seen is not None:
                    waiter.wake(Woken.JOB)

    def _remember(self, job_id: str) -> None:
        """Keep the latest ends, for calls whose job ends before they wait for it."""
        self._ended[job_id] = None
        if len(self._ended) > _MOST_REMEMBERED:
            del self._ended[next(iter(self._ended))]

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                # What the turn passes over, the sweep finds.
                await self._turn_back()
                await self._sweep()
            except (RedisError, OSError, StoreUnavailable):
                continue

    async def _turn_back(self) -> None:
        """Read on from the newest entry of a stream that was begun anew with lower ids.

        A deleted stream, or a server whose clock was set back, gives ids that the read would never reach.
        """
        for stream, last in list(self._last.items()):
            newest = await self._client.xrevrange(stream, count=1)
            if newest and _position(newest[0][0].decode()) < _position(last):
                self._last[stream] = newest[0][0].decode()

    async def _sweep(self) -> None:
        job_ids = list(self._waiting)
        for start in range(0, len(job_ids), _CHUNK):
            chunk = job_ids[start : start + _CHUNK]
            for job_id, state in zip(chunk, await self._store.statuses(chunk), strict=True):
                for waiter in self._waiting.get(job_id, ()):
                    if waiter.concerns(state):
                        waiter.wake(Woken.JOB)


def _position(entry_id: str) -> tuple[int, ...]:
    """Return an id of a stream as what it is ordered by: milliseconds and a counter."""
    return tuple(map(int, entry_id.split("-")))
