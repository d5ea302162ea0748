"""Asking Redis: all of it goes this way, bounded in time, with errors said in our words."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import redis
import redis.asyncio as aioredis

from api.cancelling import within
from shared.errors import StoreUnavailable
from shared.jobs import scripts
from shared.jobs.keys import Keys
from shared.redis_clients import UNREACHABLE

# No call of a request waits longer for Redis than this, whatever its retries add up to.
PATIENCE_S: Final = 1.6

_AWAY: Final = (*UNREACHABLE, TimeoutError)

Fill = Callable[[Any], object]
"""Puts commands into a pipeline of redis-py, whose types are those of any protocol and decoding."""


class StoreClient:
    """The job store's server, as this process asks it.

    Args:
        client: redis-py's.
        prefix: of every key.

    Every question raises StoreUnavailable where the server is away or has no memory left.
    """

    def __init__(self, client: aioredis.Redis, prefix: str) -> None:
        self.keys = Keys(prefix)
        self._client = client
        self._prefix = prefix
        self._called: set[str] = set()

    async def ask(self, fill: Fill) -> list[Any]:
        """Return the replies to the commands that ``fill`` puts into a pipeline. One round trip."""
        try:
            return await within(PATIENCE_S, self._ask(fill))
        except redis.exceptions.OutOfMemoryError as error:
            message = "The job store has no memory left."
            raise StoreUnavailable(message, retry_after_s=5) from error
        except _AWAY as error:
            raise StoreUnavailable(retry_after_s=1) from error

    async def run(self, name: str, **values: scripts.Argument) -> list[Any]:
        """Return a script's reply without its code.

        Raises:
            DarkroomError: the one that its code stands for.
        """
        (reply,) = await self.ask(lambda pipe: self.call(pipe, name, values))
        return scripts.checked(reply)

    def call(self, pipe: Any, name: str, values: Mapping[str, scripts.Argument]) -> None:  # noqa: ANN401
        """Put a script's call into a pipeline."""
        script = scripts.load(name)
        keys, args = script.bind(self._prefix, values)
        self._called.add(name)
        pipe.evalsha(script.digest, len(keys), *keys, *args)

    async def _ask(self, fill: Fill) -> list[Any]:
        replies = await self._execute(fill)
        if any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies):
            # A server that was started anew. All that is asked here can be asked twice.
            await self._execute(self._load)
            replies = await self._execute(fill)
        for reply in replies:
            if isinstance(reply, redis.exceptions.RedisError):
                await self._see(reply)
        return replies

    async def _execute(self, fill: Fill) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            fill(pipe)
            return list(await pipe.execute(raise_on_error=False))

    def _load(self, pipe: Any) -> None:  # noqa: ANN401
        for name in self._called:
            pipe.script_load(scripts.load(name).source)

    async def _see(self, error: redis.exceptions.RedisError) -> None:
        if isinstance(error, UNREACHABLE):
            # Not there yet, or no longer the one to ask: whoever asks next connects anew.
            await self._client.connection_pool.disconnect(inuse_connections=False)
        raise error
