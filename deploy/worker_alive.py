"""The healthcheck of a worker's container: exit status 0 while the worker in it sends its heartbeat.

A process that merely exists may hang or have lost Redis. This asks Redis whether it has heard from the worker
within a lease, which is also what decides whether the worker's jobs are moved elsewhere.
"""
# ruff: noqa: INP001 - a script of the image, no package

import socket
import sys
from typing import Any

from shared.errors import StoreUnavailable
from shared.jobs.keys import Keys
from shared.redis_clients import UNREACHABLE, sync_client
from shared.settings import Settings


def recent_workers(settings: Settings) -> set[str]:
    """Return the names of the workers that Redis has heard from within a lease.

    Raises:
        StoreUnavailable: Redis is away.
    """
    keys = Keys(settings.redis.prefix)
    try:
        with sync_client(settings.redis, retries=0) as connected:
            client: Any = connected  # see ApiStore
            seconds, micros = client.time()
            oldest_ms = seconds * 1000 + micros // 1000 - int(settings.jobs.lease_s * 1000)
            models = [name.decode() for name in client.smembers(keys.models)]
            beats = [client.zrangebyscore(keys.serving(model), oldest_ms, "+inf") for model in models]
    except UNREACHABLE as error:
        raise StoreUnavailable from error
    return {name.decode() for names in beats for name in names}


def is_alive(settings: Settings, host: str) -> bool:
    """Whether the worker of this container is among them: by its name, or its host's in it.

    Raises:
        StoreUnavailable: Redis is away.
    """
    workers = recent_workers(settings)
    if settings.worker.name is not None:
        return settings.worker.name in workers
    return any(worker.startswith(f"{host}:") for worker in workers)


def main() -> int:
    """Return the exit status of the check."""
    try:
        alive = is_alive(Settings(), socket.gethostname())
    except StoreUnavailable as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
