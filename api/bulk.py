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

from api.link import connect, cut, error_of

Blob = bytes | bytearray

_LINE_BYTES: Final = 64 * 1024
_EOL: Final = b"\r\n"
_ARRAY, _STRING, _ERROR = b"*$-"
# More at once would not be faster, and opening a connection takes as long as ten reads: where thousands of
# calls are woken together, the others wait for one of these.
_MOST: Final = 16


class BulkReader:
    """Reads arrays of strings, over connections of its own that are used again.

    Args:
        pool: makes connections to the server; none of them is taken from it or given back.
    """

    def __init__(self, pool: aioredis.ConnectionPool) -> None:
        self._pool = pool
        self._idle: deque[_Reply] = deque()
        self._free = asyncio.Semaphore(_MOST)

    async def ask(self, *commands: bytes) -> list[list[Blob | None]]:
        """Return the replies to commands whose replies are arrays of strings, in one round trip.

        Raises:
            redis.exceptions.ConnectionError: the server cannot be reached, or went away.
            redis.exceptions.ResponseError: it answered with an error.
        """
        async with self._free:
            while self._idle:
                # A connection that was not used for a while may have died unnoticed; a fresh one has not.
                reply = self._idle.pop()
                try:
                    return await self._ask(reply, commands)
                except redis.exceptions.ConnectionError:
                    continue
            return await self._ask(await self._connect(), commands)

    def close(self) -> None:
        """Close every connection that is not in use."""
        while self._idle:
            self._idle.pop().close()

    async def _ask(self, reply: "_Reply", commands: tuple[bytes, ...]) -> list[list[Blob | None]]:
        try:
            found = await reply.ask(commands)
        except BaseException:
            # Whatever is still on its way would be taken for the answer to the next question.
            reply.close()
            if not reply.answered:
                self.close()
            raise
        self._idle.append(reply)
        return found

    async def _connect(self) -> "_Reply":
        transport, connection = await connect(self._pool)
        reply = _Reply(transport, connection)
        transport.set_protocol(reply)
        transport.resume_reading()
        return reply


class _Reply(asyncio.BufferedProtocol):
    """One connection, and the replies that are read on it: arrays of bulk strings, or an error.

    Lines and short values are read into memory that is used again; a long value goes into memory of its own,
    with the end of line behind it, so that nothing of it is left to be read.
    """

    def __init__(self, transport: asyncio.Transport, connection: Any) -> None:  # noqa: ANN401
        self._transport = transport
        self._connection = connection
        self._lines = bytearray(_LINE_BYTES)
        self._begin(0)

    def _begin(self, replies: int) -> None:
        self._start = self._end = 0
        self._replies = replies
        self._items = 0
        self._blob: bytearray | None = None
        self._long: list[bytearray] = []
        self._filled = 0
        self._found: list[list[Blob | None]] = []
        self._done: asyncio.Future[list[list[Blob | None]]] | None = None
        self.answered = True
        """Whether the server has said anything since it was asked."""

    async def ask(self, commands: tuple[bytes, ...]) -> list[list[Blob | None]]:
        """Send commands and return their replies."""
        if self._transport.is_closing():
            raise redis.exceptions.ConnectionError
        self._begin(len(commands))
        self.answered = False
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(b"".join(commands))
        found = await self._done
        for value in self._long:
            # Not before: what is read into cannot be made shorter.
            del value[-len(_EOL) :]
        self._begin(0)  # a connection that waits for the next question keeps nothing of this answer
        return found

    def close(self) -> None:
        """Close the connection."""
        cut(self._transport, self._connection)

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        if self._blob is not None:
            return memoryview(self._blob)[self._filled :]
        if self._end == len(self._lines):
            self._make_room()
        return memoryview(self._lines)[self._end :]

    @override
    def buffer_updated(self, nbytes: int) -> None:
        self.answered = True
        if self._blob is None:
            self._end += nbytes
        elif not self._fill(self._blob, nbytes):
            return
        try:
            self._read()
        except (redis.exceptions.RedisError, ValueError) as error:
            self._fail(error)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(redis.exceptions.ConnectionError(str(exc or "closed by the server")))

    def _make_room(self) -> None:
        """Move the beginning of a line to the front of the memory that it ran out of."""
        begun = self._lines[self._start : self._end]
        if len(begun) == len(self._lines):
            self._fail(redis.exceptions.InvalidResponse("a line without an end"))
            begun.clear()
        self._lines[: len(begun)] = begun
        self._start, self._end = 0, len(begun)

    def _read(self) -> None:
        """Take in the lines that are here, and the values that they announce."""
        if self._done is None or self._done.done():
            return
        lines, at, end = self._lines, self._start, self._end
        while not (whole := self._whole()) and (stop := lines.find(_EOL, at, end)) >= 0:
            kind, said = lines[at], lines[at + 1 : stop]
            at = stop + len(_EOL)
            if kind == _STRING and self._found:
                at = self._take(int(said), at)
            elif kind == _ARRAY:
                self._items = int(said)
                self._found.append([])
            elif kind == _ERROR:
                raise error_of(said.decode("utf-8", "replace"))
            else:
                raise redis.exceptions.InvalidResponse(repr(said[:80]))
        self._start, self._end = (0, 0) if at == end else (at, end)
        if whole:
            self._done.set_result(self._found)

    def _whole(self) -> bool:
        """Whether every reply is here."""
        found = self._found
        return len(found) == self._replies and len(found[-1]) == self._items

    def _take(self, length: int, at: int) -> int:
        """Take the value that begins there, or begin it with what of it is here; return where it ends."""
        if length < 0:
            self._found[-1].append(None)
            return at
        stop = at + length
        if stop + len(_EOL) <= self._end:
            self._found[-1].append(self._lines[at:stop])
            return stop + len(_EOL)
        blob = self._blob = bytearray(length + len(_EOL))
        self._filled = self._end - at
        blob[: self._filled] = self._lines[at : self._end]
        return self._end

    def _fill(self, blob: bytearray, nbytes: int) -> bool:
        """Note what was read into a long value; return whether it is whole."""
        self._filled += nbytes
        if self._filled < len(blob):
            return False
        self._found[-1].append(blob)
        self._long.append(blob)
        self._blob = None
        return True

    def _fail(self, error: Exception) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(error)
