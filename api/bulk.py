"""Large values read from Redis straight into the memory from which they are sent.

redis-py reads a reply in pieces, appends them to a buffer, cuts it up and hands it to its parser: for a
picture of 2 MB that is eight times the work of receiving it (docs/performance.md). So it opens the connection
(address, TLS, password, database), and what is read on it afterwards goes into memory of the right size.
"""

import asyncio
from collections import deque
from typing import Any, Final

import redis
import redis.asyncio as aioredis
from typing_extensions import override

Blob = bytes | bytearray

_LINE_BYTES: Final = 64 * 1024
_MOST_IDLE: Final = 16


class BulkReader:
    """Reads fields of hashes, over connections of its own that are used again.

    Args:
        pool: makes connections to the server; none of them is taken from it or given back.
    """

    def __init__(self, pool: aioredis.ConnectionPool) -> None:
        self._pool = pool
        self._idle: deque[_Reply] = deque()

    async def hmget(self, name: str, fields: list[str]) -> list[Blob | None]:
        """Return the fields of a hash, None for each that it has not.

        Raises:
            redis.exceptions.ConnectionError: the server cannot be reached, or went away.
            redis.exceptions.ResponseError: it answered with an error.
        """
        command = _packed("HMGET", name, *fields)
        while self._idle:
            # A connection that was not used for a while may have died unnoticed; a fresh one has not.
            reply = self._idle.pop()
            try:
                return await self._ask(reply, command)
            except redis.exceptions.ConnectionError:
                continue
        return await self._ask(await self._connect(), command)

    def close(self) -> None:
        """Close every connection that is not in use."""
        while self._idle:
            self._idle.pop().close()

    async def _ask(self, reply: "_Reply", command: bytes) -> list[Blob | None]:
        try:
            found = await reply.ask(command)
        except BaseException:
            # Whatever is still on its way would be taken for the answer to the next question.
            reply.close()
            if not reply.answered:
                self.close()
            raise
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(reply)
        else:
            reply.close()
        return found

    async def _connect(self) -> "_Reply":
        connection: Any = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        transport: asyncio.Transport = connection._writer.transport  # noqa: SLF001 - redis-py has no other way
        reply = _Reply(transport, connection)
        transport.set_protocol(reply)
        transport.resume_reading()
        return reply


class _Reply(asyncio.BufferedProtocol):
    """One connection, and the reply that is read on it: an array of bulk strings, or an error."""

    def __init__(self, transport: asyncio.Transport, connection: Any) -> None:  # noqa: ANN401
        self._transport = transport
        self._connection = connection  # kept: its stream closes the transport when nobody knows it any more
        self._lines = bytearray(_LINE_BYTES)
        self._end = 0
        self._begin()

    def _begin(self) -> None:
        self._start = self._end = 0
        self._left: int | None = None
        self._blob: bytearray | None = None
        self._filled = 0
        self._owed = 0
        self._found: list[Blob | None] = []
        self._done: asyncio.Future[list[Blob | None]] | None = None
        self.answered = True
        """Whether the server has said anything since it was asked."""

    async def ask(self, command: bytes) -> list[Blob | None]:
        """Send a command and return its reply."""
        if self._transport.is_closing():
            raise redis.exceptions.ConnectionError
        self._begin()
        self.answered = False
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(command)
        return await self._done

    def close(self) -> None:
        """Close the connection."""
        self._transport.abort()
        # Else redis-py complains that nobody told its connection.
        self._connection._reader = self._connection._writer = None  # noqa: SLF001

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        if self._blob is not None and self._filled < len(self._blob):
            return memoryview(self._blob)[self._filled :]
        if self._end == len(self._lines):
            self._fail(redis.exceptions.InvalidResponse("a line without an end"))
            self._start = self._end = 0
        return memoryview(self._lines)[self._end :]

    @override
    def buffer_updated(self, nbytes: int) -> None:
        self.answered = True
        if self._blob is not None:
            self._filled += nbytes
        else:
            self._end += nbytes
        try:
            while self._step():
                pass
        except (redis.exceptions.RedisError, ValueError) as error:
            self._fail(error)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(redis.exceptions.ConnectionError(str(exc or "closed by the server")))

    def _step(self) -> bool:
        """Take in what has come; False where more must come first."""
        if self._blob is not None:
            if self._filled < len(self._blob):
                return False
            self._found.append(self._blob)
            self._blob, self._owed = None, 2
        if self._owed:
            return self._pass_the_end()
        stop = self._lines.find(b"\r\n", self._start, self._end)
        if self._done is None or self._done.done() or stop < 0:
            return False
        line, self._start = bytes(self._lines[self._start : stop]), stop + 2
        if line[:1] == b"-":
            raise _error(line[1:].decode("utf-8", "replace"))
        count = int(line[1:])
        if line[:1] == b"*":
            self._left = count
        elif line[:1] == b"$":
            self._take(count)
        else:
            raise redis.exceptions.InvalidResponse(repr(line[:80]))
        return True

    def _pass_the_end(self) -> bool:
        """Pass over the end of line after a value."""
        if self._end - self._start < self._owed:
            return False
        self._start += self._owed
        self._owed = 0
        if self._start == self._end:
            self._start = self._end = 0
        self._finish_when_whole()
        return True

    def _take(self, length: int) -> None:
        """Begin a value of so many bytes with what of it is here already."""
        if length < 0:
            self._found.append(None)
            self._finish_when_whole()
            return
        self._blob = bytearray(length)
        self._filled = min(self._end - self._start, length)
        self._blob[: self._filled] = self._lines[self._start : self._start + self._filled]
        self._start += self._filled
        if self._start == self._end:
            self._start = self._end = 0

    def _finish_when_whole(self) -> None:
        if len(self._found) == self._left and self._done and not self._done.done():
            self._done.set_result(self._found)

    def _fail(self, error: Exception) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(error)


def _packed(*words: str) -> bytes:
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        text = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(text), text))
    return b"".join(parts)


def _error(said: str) -> redis.exceptions.RedisError:
    """Return what the server said as redis-py raises it; one that still loads its data is not there yet."""
    if said.startswith("LOADING"):
        return redis.exceptions.BusyLoadingError(said)
    return redis.exceptions.ResponseError(said)
