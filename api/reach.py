"""Asking Redis: commands, scripts and large results, with what drivers raise said in our words."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import redis
import redis.asyncio as aioredis

from api.bulk import Blob, BulkReader
from api.cancelling import within
from api.link import Link, packed
from shared.errors import StoreUnavailable
from shared.jobs import scripts
from shared.redis_clients import UNREACHABLE

T = TypeVar("T")

# No call of a request waits longer for Redis than this, whatever its retries add up to.
PATIENCE_S: Final = 1.6

_AWAY: Final = (*UNREACHABLE, TimeoutError, redis.exceptions.OutOfMemoryError)


class Reach:
    """The ways to the server.

    Args:
        pool: makes connections to it.
        prefix: of every key.

    Every way raises StoreUnavailable where the server is away or has no memory left.
    """

    def __init__(self, pool: aioredis.ConnectionPool, prefix: str) -> None:
        self._prefix = prefix
        self._bulk = BulkReader(pool)
        self._link = Link(pool, PATIENCE_S)

    async def ask(self, *commands: bytes) -> list[Any]:
        """Return the replies to commands. One round trip; the only error among them: no such script."""
        try:
            replies = await self._link.ask(*commands)
            for reply in replies:
                if isinstance(reply, redis.exceptions.RedisError):
                    self._see(reply)
        except _AWAY as error:
            raise _unavailable(error) from error
        return replies

    async def ask_large(self, *commands: bytes) -> list[list[Blob | None]]:
        """Return the replies to commands that return arrays of strings, however large. One round trip."""
        return await self.call(lambda: self._bulk.ask(*commands))

    def command(self, name: str, values: Mapping[str, scripts.Argument]) -> bytes:
        """Return the call of a script."""
        script = scripts.load(name)
        keys, args = script.bind(self._prefix, values)
        return packed("EVALSHA", script.digest, len(keys), *keys, *args)

    async def run(self, name: str, **values: scripts.Argument) -> list[Any]:
        """Return a script's reply without its code.

        Raises:
            DarkroomError: the one that its code stands for.
        """
        (reply,) = await self.ask(self.command(name, values))
        if isinstance(reply, redis.exceptions.NoScriptError):
            reply = await self.tell(name, values)
        return scripts.checked(reply)

    async def tell(self, name: str, values: Mapping[str, scripts.Argument]) -> object:
        """Return the reply of a script that the server did not know."""
        load = packed("SCRIPT", "LOAD", scripts.load(name).source)
        _, reply = await self.ask(load, self.command(name, values))
        return reply

    async def call(self, do: Callable[[], Awaitable[T]]) -> T:
        """Return what a call of a client returns."""
        try:
            return await within(PATIENCE_S, do())
        except _AWAY as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        """Close what was opened here."""
        self._bulk.close()
        self._link.close()

    def _see(self, error: redis.exceptions.RedisError) -> None:
        if isinstance(error, redis.exceptions.NoScriptError):
            return
        if isinstance(error, UNREACHABLE):
            # Not there yet, or no longer the one to ask: whoever asks next looks for it anew.
            self._link.close()
        raise error


def _unavailable(error: BaseException) -> StoreUnavailable:
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return StoreUnavailable("The job store has no memory left.", retry_after_s=5)
    return StoreUnavailable(retry_after_s=1)
