"""Asks Valkey over a connection whose transport ended in the pool, on the event loop that serves HTTP.

python -m tests.faults.programs.closed_transport URL abort|close
"""

import asyncio
import sys

import uvloop
from pydantic import SecretStr

from shared.redis_clients import async_client
from shared.settings import RedisSettings


async def ask(url: str, end: str) -> None:
    """End a pooled connection's transport and ask once more."""
    client = async_client(RedisSettings(url=SecretStr(url)))
    await client.ping()
    connection = client.connection_pool._available_connections[0]
    getattr(connection._writer.transport, end)()
    sys.stdout.write(f"{await client.ping()}\n")
    await client.aclose()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask(*sys.argv[1:]))
