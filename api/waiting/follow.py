"""What running jobs tell on their way, their steps and previews, for the calls that stream.

One subscription for each job that somebody follows here, all on one connection, however many follow it. The
channel is lossy by nature: what a follower may have missed, it reads from Redis when the subscription stands
again. Whether a job has ended is never learned from here, but by :class:`api.waiting.watch.JobWatch`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import redis.asyncio as aioredis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from api.cancelling import cancel_all
from api.store.jobs import JobStore, PreviewName
from shared.logs import get_logger

log = get_logger(__name__)

_READ_S: Final = 2.0
# How long a follower waits for its subscription before it looks at what there is without it.
_SUBSCRIBED_WITHIN_S: Final = 1.0
_PAUSE_S: Final = 0.2


@dataclass(frozen=True)
class Step:
    """How far an attempt is."""

    attempt: int
    step: int
    steps: int


@dataclass(eq=False)
class Follower:
    """One call that follows one job. A slow one finds the newest step, and the names of all previews.

    ``news`` is set whenever there is something to look at; ``next`` clears it. ``missed`` says that the
    subscription began only now, so that what was told before must be read from Redis.
    """

    job_id: str
    news: asyncio.Event = field(default_factory=asyncio.Event)
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)
    missed: bool = False
    step: Step | None = None
    previews: set[PreviewName] = field(default_factory=set)

    def tell(self, news: Step | PreviewName) -> None:
        """Take in what the job's attempt has told."""
        if isinstance(news, Step):
            self.step = news
        else:
            self.previews.add(news)
        self.news.set()

    async def next(self) -> None:
        """Wait for news."""
        await self.news.wait()
        self.news.clear()

    def begin(self) -> None:
        """Note that the subscription stands from now on."""
        self.missed = True
        self.subscribed.set()
        self.news.set()


class Followers:
    """Those who follow jobs in this process.

    One task connects and reads, and nobody else does; others only write to what is connected. redis-py's own
    PubSub would connect, and read, in whichever task subscribes.
    """

    def __init__(self, client: aioredis.Redis, store: JobStore) -> None:
        self._pool: Any = client.connection_pool
        self._connection: Any = None
        self._store = store
        self._by_channel: dict[str, set[Follower]] = {}
        self._any = asyncio.Event()
        self._writing = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def jobs(self) -> int:
        """How many jobs are followed."""
        return len(self._by_channel)

    def start(self) -> None:
        """Start reading."""
        self._reading = asyncio.create_task(self._read_forever())

    async def close(self) -> None:
        """Stop reading and leave every channel."""
        await asyncio.gather(*self._leaving, return_exceptions=True)
        if self._reading is not None:
            await cancel_all([self._reading])
        await self._disconnect()

    @asynccontextmanager
    async def following(self, job_id: str) -> AsyncIterator[Follower]:
        """Follow a job as long as the context lasts; works, with less to tell, while Redis is away."""
        channel, follower = self._store.keys.events(job_id), Follower(job_id)
        self._by_channel.setdefault(channel, set()).add(follower)
        self._any.set()
        try:
            await self._write("SUBSCRIBE", channel)
            with suppress(TimeoutError):
                async with asyncio.timeout(_SUBSCRIBED_WITHIN_S):
                    await follower.subscribed.wait()
            yield follower
        finally:
            self._leave(channel, follower)

    def _leave(self, channel: str, follower: Follower) -> None:
        followers = self._by_channel[channel]
        followers.discard(follower)
        if followers:
            return
        del self._by_channel[channel]
        if not self._by_channel:
            self._any.clear()
        leaving = asyncio.create_task(self._write("UNSUBSCRIBE", channel))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _write(self, *command: str) -> None:
        """Send a command; without a connection nothing is lost, since a new one subscribes to everything."""
        async with self._writing:
            if self._connection is not None and self._connection.is_connected:
                with suppress(RedisError, OSError):
                    await self._connection.send_command(*command, check_health=False)

    async def _read_forever(self) -> None:
        pinged = False
        while True:
            await self._any.wait()
            try:
                if self._connection is None:
                    await self._connect()
                reply = await self._connection.read_response(timeout=_READ_S, disconnect_on_error=False)
                if reply is not None:
                    self._take(reply)
                elif pinged:
                    raise RedisTimeoutError
                else:
                    await self._write("PING")
                pinged = reply is None
            except (RedisError, OSError) as error:
                pinged = False
                await self._lose(error)

    async def _connect(self) -> None:
        connection = await self._pool.get_connection()
        # From here on others write to it; what they asked for before is in the list.
        self._connection = connection
        if channels := list(self._by_channel):
            await self._write("SUBSCRIBE", *channels)

    async def _lose(self, error: Exception) -> None:
        log.warning("follow.disconnected", reason=type(error).__name__)
        await self._disconnect()
        await asyncio.sleep(_PAUSE_S)

    async def _disconnect(self) -> None:
        # Never under the hands of one who writes: redis-py sends in a task of its own, a moment later.
        async with self._writing:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(RedisError, OSError):
                    await connection.disconnect(nowait=True)
                await self._pool.release(connection)

    def _take(self, reply: object) -> None:
        """Tell followers what a reply says; anything but a subscription and a message is of no interest."""
        if not isinstance(reply, list):
            return
        kind, channel, data = reply[0], reply[1], reply[-1]
        followers = self._by_channel.get(channel.decode(), set()) if channel is not None else set()
        if kind == b"subscribe":
            for follower in followers:
                follower.begin()
        elif kind == b"message":
            news = _read(data)
            if news is None:
                return
            for follower in followers:
                follower.tell(news)


def _read(data: bytes) -> Step | PreviewName | None:
    """Return what a message says; nothing where no worker of ours can have sent it."""
    try:
        said = json.loads(data)
        names = ("attempt", "step", "steps") if "step" in said else ("image", "partial")
        numbers = [int(said[name]) for name in names]
    except (ValueError, TypeError, KeyError):
        log.warning("follow.unreadable")
        return None
    return Step(*numbers) if "step" in said else (numbers[0], numbers[1])
