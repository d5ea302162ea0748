"""What running jobs tell on their way, their steps and previews, for the calls that stream.

One subscription for each job that somebody follows here, all on one connection, however many follow it. The
channel is lossy by nature: what a follower may have missed, it reads from Redis when the subscription stands
again. Whether a job has ended is never learned from here, but by :class:`api.watch.JobWatch`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import redis.asyncio as aioredis
from redis.exceptions import RedisError

from api.cancelling import cancel_all
from api.store import ApiStore, PreviewName
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

    ``news`` is set whenever there is something to look at; whoever looks clears it. ``missed`` says that the
    subscription began only now, so that what was told before must be read from Redis.
    """

    job_id: str
    news: asyncio.Event = field(default_factory=asyncio.Event)
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)
    missed: bool = False
    step: Step | None = None
    previews: set[PreviewName] = field(default_factory=set)

    def tell(self, news: dict[str, int]) -> None:
        """Take in what the job's attempt has told."""
        if "step" in news:
            self.step = Step(news["attempt"], news["step"], news["steps"])
        else:
            self.previews.add((news["image"], news["partial"]))
        self.news.set()

    def begin(self) -> None:
        """Note that the subscription stands from now on."""
        self.missed = True
        self.subscribed.set()
        self.news.set()


class Followers:
    """Those who follow jobs in this process."""

    def __init__(self, client: aioredis.Redis, store: ApiStore) -> None:
        self._pubsub: Any = client.pubsub()
        self._store = store
        self._by_channel: dict[str, set[Follower]] = {}
        self._changing = asyncio.Lock()
        self._any = asyncio.Event()
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
        if self._reading is not None:
            await cancel_all([self._reading])
        with suppress(RedisError, OSError):
            await self._pubsub.aclose()

    @asynccontextmanager
    async def following(self, job_id: str) -> AsyncIterator[Follower]:
        """Follow a job as long as the context lasts; works, with less to tell, while Redis is away."""
        channel, follower = self._store.keys.events(job_id), Follower(job_id)
        self._by_channel.setdefault(channel, set()).add(follower)
        self._any.set()
        try:
            await self._subscribe(channel, follower)
            yield follower
        finally:
            leaving = asyncio.create_task(self._leave(channel, follower))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _subscribe(self, channel: str, follower: Follower) -> None:
        async with self._changing:
            if self._is_subscribed(channel):
                follower.begin()
                return
            with suppress(RedisError, OSError):
                await self._pubsub.subscribe(channel)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SUBSCRIBED_WITHIN_S):
                await follower.subscribed.wait()

    async def _leave(self, channel: str, follower: Follower) -> None:
        async with self._changing:
            followers = self._by_channel[channel]
            followers.discard(follower)
            if followers:
                return
            del self._by_channel[channel]
            if not self._by_channel:
                self._any.clear()
            with suppress(RedisError, OSError):
                await self._pubsub.unsubscribe(channel)

    def _is_subscribed(self, channel: str) -> bool:
        return channel.encode() in self._pubsub.channels

    async def _read_forever(self) -> None:
        while True:
            await self._any.wait()
            try:
                if self._pubsub.connection is None:
                    await self._subscribe_the_rest()
                message = await self._pubsub.get_message(timeout=_READ_S)
                if message is not None:
                    self._take(message)
            except (RedisError, OSError) as error:
                log.warning("follow.disconnected", reason=type(error).__name__)
                await asyncio.sleep(_PAUSE_S)
                await self._subscribe_the_rest()

    async def _subscribe_the_rest(self) -> None:
        """Subscribe to what could not be subscribed to while Redis was away."""
        async with self._changing:
            missing = [channel for channel in self._by_channel if not self._is_subscribed(channel)]
            if not missing:
                return
            with suppress(RedisError, OSError):
                await self._pubsub.subscribe(*missing)
                return
        await asyncio.sleep(_PAUSE_S)

    def _take(self, message: dict[str, Any]) -> None:
        followers = self._by_channel.get(message["channel"].decode(), set())
        if message["type"] == "subscribe":
            for follower in followers:
                follower.begin()
        elif message["type"] == "message":
            news = json.loads(message["data"])
            for follower in followers:
                follower.tell(news)
