"""One connection to Redis for all requests of a process: what they ask together goes out together.

redis-py takes a connection from its pool for each command, behind a lock and two time-outs, and reads its
reply through a stream: that was a third of what a submission cost (docs/performance.md). So it opens the
connection (address, TLS, user, password, database), and commands are written to it and replies read from it
here, in order, as many at a time as there are requests.
"""

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import hiredis
import redis
import redis.asyncio as aioredis
from typing_extensions import override

from api.cancelling import within
from shared.redis_clients import UNREACHABLE

Word = str | bytes | int | float

_BACKOFF_S: Final = (0.025, 0.1)

_ERRORS: Final[dict[str, type[redis.exceptions.RedisError]]] = {
    "LOADING": redis.exceptions.BusyLoadingError,
    "NOAUTH": redis.exceptions.AuthenticationError,
    "NOPERM": redis.exceptions.NoPermissionError,
    "NOSCRIPT": redis.exceptions.NoScriptError,
    "OOM": redis.exceptions.OutOfMemoryError,
    "READONLY": redis.exceptions.ReadOnlyError,
    "WRONGPASS": redis.exceptions.AuthenticationError,
}


def packed(*words: Word) -> bytes:
    """Return a command as it is sent."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        text = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(text), text))
    return b"".join(parts)


class Form:
    """A command of which nothing but the key changes: the rest of it is made once."""

    def __init__(self, name: str, *after: Word) -> None:
        self._before, self._after = packed(name, "", *after).split(b"$0\r\n", 1)

    def packed(self, key: str) -> bytes:
        """Return the command for a key."""
        text = key.encode()
        return b"%b$%d\r\n%b%b" % (self._before, len(text), text, self._after)


def error_of(said: str) -> redis.exceptions.RedisError:
    """Return what the server said as redis-py raises it; one that still loads its data is not there yet."""
    return _ERRORS.get(said.partition(" ")[0], redis.exceptions.ResponseError)(said)


async def connect(pool: aioredis.ConnectionPool) -> tuple[asyncio.Transport, Any]:
    """Return a transport that redis-py has connected and logged in, and its connection.

    The connection is to be kept: its stream closes the transport when nobody knows it any more.

    Raises:
        redis.exceptions.RedisError: it could not.
    """
    connection: Any = pool.make_connection()  # type: ignore[no-untyped-call]
    try:
        await connection.connect()
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection._writer.transport, connection  # noqa: SLF001 - redis-py has no other way


def cut(transport: asyncio.Transport, connection: Any) -> None:  # noqa: ANN401 - redis-py's own
    """Close a connection at once."""
    transport.abort()
    # Else redis-py complains that nobody told its connection.
    connection._reader = connection._writer = None  # noqa: SLF001


class Link:
    """Sends commands and returns their replies.

    Args:
        pool: makes connections to the server; none of them is taken from it or given back.
        patience_s: the longest that a command takes, whatever its repeats add up to.
    """

    def __init__(self, pool: aioredis.ConnectionPool, patience_s: float) -> None:
        self._pool = pool
        self._timeout_s: float = pool.connection_kwargs["socket_timeout"]
        self._patience_s = patience_s
        self._replies: _Replies | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, *commands: bytes) -> list[Any]:
        """Return the replies to commands, in one round trip; an error reply is returned like any other.

        What fails with the connection is sent once more: commands are to be safe to repeat.

        Raises:
            redis.exceptions.RedisError: the server cannot be reached, or went away twice.
            TimeoutError: it took longer than the patience lasts.
        """
        return await within(self._patience_s, self._ask(commands)) if commands else []

    def close(self) -> None:
        """Close the connection."""
        if self._replies is not None:
            self._replies.close()

    async def _ask(self, commands: tuple[bytes, ...]) -> list[Any]:
        if self._replies is not None and self._replies.open:
            try:
                return await self._replies.ask(commands)
            except UNREACHABLE:
                await asyncio.sleep(random.uniform(*_BACKOFF_S))  # noqa: S311 - nothing secret
        return await (await self._connected()).ask(commands)

    async def _connected(self) -> "_Replies":
        async with self._connecting:
            if self._replies is None or not self._replies.open:
                transport, connection = await connect(self._pool)
                self._replies = _Replies(transport, connection, self._timeout_s)
                transport.set_protocol(self._replies)
                transport.resume_reading()
            return self._replies


@dataclass(slots=True)
class _Asked:
    """Commands that were sent together: how many replies are owed, and those that have come."""

    owed: int
    done: "asyncio.Future[list[Any]]"
    found: list[Any] = field(default_factory=list)


class _Replies(asyncio.Protocol):
    """One connection, and the replies that are read on it."""

    def __init__(self, transport: asyncio.Transport, connection: Any, timeout_s: float) -> None:  # noqa: ANN401
        self._transport = transport
        self._connection = connection
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=error_of, notEnoughData=_MORE)
        self._asked: deque[_Asked] = deque()
        self._heard_at = 0.0
        self._watchdog: asyncio.TimerHandle | None = None

    @property
    def open(self) -> bool:
        """Whether commands can be sent."""
        return not self._transport.is_closing()

    def ask(self, commands: tuple[bytes, ...]) -> "asyncio.Future[list[Any]]":
        """Send commands; what is returned has their replies."""
        if not self._asked:
            self._heard_at = self._loop.time()
            if self._watchdog is None:
                self._watchdog = self._loop.call_later(self._timeout_s, self._look)
        done: asyncio.Future[list[Any]] = self._loop.create_future()
        self._asked.append(_Asked(len(commands), done))
        self._transport.write(commands[0] if len(commands) == 1 else b"".join(commands))
        return done

    def close(self) -> None:
        """Close the connection; who still waits for a reply is told."""
        self._end(redis.exceptions.ConnectionError("the connection was closed"))

    @override
    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _MORE:
                self._take(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self._end(redis.exceptions.ConnectionError(f"not understood: {error}"))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._end(redis.exceptions.ConnectionError(str(exc or "closed by the server")))

    def _take(self, reply: object) -> None:
        asked = self._asked[0]
        asked.found.append(reply)
        if len(asked.found) == asked.owed:
            self._asked.popleft()
            if not asked.done.done():
                asked.done.set_result(asked.found)

    def _look(self) -> None:
        """See whether the server has been silent for too long: one timer, however many commands wait."""
        self._watchdog = None
        if not self._asked:
            return
        left_s = self._heard_at + self._timeout_s - self._loop.time()
        if left_s > 0:
            self._watchdog = self._loop.call_later(left_s, self._look)
        else:
            self._end(redis.exceptions.TimeoutError("no reply"))

    def _end(self, why: redis.exceptions.RedisError) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        asked, self._asked = self._asked, deque()
        _tell(asked, why)
        cut(self._transport, self._connection)


def _tell(asked: Iterable[_Asked], why: redis.exceptions.RedisError) -> None:
    for each in asked:
        if not each.done.done():
            each.done.set_exception(why)


_MORE: Final = object()
