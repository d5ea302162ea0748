"""The healthcheck of a courier's container: exit status 0 while the courier in it is heard of.

A process that merely exists may hang or have lost Redis. This asks Redis whether the courier has looked for
deliveries lately.
"""
# ruff: noqa: INP001 - a script of the image, no package

import socket
import sys
from typing import Any

from shared.errors import StoreUnavailable
from shared.jobs.keys import Keys
from shared.redis_clients import UNREACHABLE, sync_client
from shared.settings import Settings
from shared.webhooks import COURIER_LIVE_S


def is_alive(settings: Settings, host: str) -> bool:
    """Whether the courier of this container is among those that Redis has heard from.

    Raises:
        StoreUnavailable: Redis is away.
    """
    name = Keys(settings.redis.prefix).couriers
    try:
        with sync_client(settings.redis, retries=0) as connected:
            client: Any = connected
            seconds, micros = client.time()
            oldest_ms = seconds * 1000 + micros // 1000 - int(COURIER_LIVE_S * 1000)
            couriers = client.zrangebyscore(name, oldest_ms, "+inf")
    except UNREACHABLE as error:
        raise StoreUnavailable from error
    return any(courier.decode().startswith(f"{host}:") for courier in couriers)


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
