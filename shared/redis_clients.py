"""The one factory of Redis clients: explicit timeouts, retries and pool sizes.

redis-py's defaults differ between its constructors and between its versions, so nothing is left to them.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
import redis.asyncio as aioredis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry
from typing_extensions import override

from shared.settings import RedisSettings

# A server that is not there, not ready, not answering, no Redis, or a replica since a fail-over; anything
# else it says is a bug of ours.
UNREACHABLE = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.InvalidResponse,
    OSError,
)


class _ClosedIsAnError(AbstractConnection):
    """Makes a connection error of what uvloop raises when its transport has closed: nobody expects that."""

    @override
    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise redis.exceptions.ConnectionError(str(error)) from error


class _Connection(_ClosedIsAnError, aioredis.Connection):
    pass


class _TlsConnection(_ClosedIsAnError, aioredis.SSLConnection):
    pass


_CONNECTIONS: dict[type[AbstractConnection], type[AbstractConnection]] = {
    aioredis.Connection: _Connection,
    aioredis.SSLConnection: _TlsConnection,
}


def _options(settings: RedisSettings, timeout_s: float | None, connections: int) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s if timeout_s is not None else settings.timeout_s,
        "socket_connect_timeout": settings.connect_timeout_s,
        "socket_keepalive": True,
        "health_check_interval": 3,
        "max_connections": connections,
        **_SPOKEN,
        **settings.tls(settings.url.get_secret_value()),
    }


# What replies look like: the code reads these, whatever an address asks for.
_SPOKEN: Final = {"protocol": 2, "decode_responses": False}


def _address(settings: RedisSettings) -> str:
    """Return where Redis is, without what would overrule us."""
    parts = urlsplit(settings.url.get_secret_value())
    options = [pair for pair in parse_qsl(parts.query) if pair[0] not in _SPOKEN]
    return urlunsplit(parts._replace(query=urlencode(options)))


def _backoff() -> ExponentialWithJitterBackoff:
    return ExponentialWithJitterBackoff(base=0.05, cap=0.5)


def sync_client(
    settings: RedisSettings, *, timeout_s: float | None = None, retries: int = 2, connections: int = 32
) -> redis.Redis:
    """Make a blocking client.

    Args:
        settings: where Redis is.
        timeout_s: longest wait for one command; default: the settings'.
        retries: how often a command is sent again after a connection error; ours are all safe to repeat.
        connections: most connections of its pool.
    """
    options = _options(settings, timeout_s, connections)
    return redis.Redis.from_url(_address(settings), retry=Retry(_backoff(), retries), **options)


def async_client(
    settings: RedisSettings, *, timeout_s: float | None = None, retries: int = 1, connections: int = 32
) -> aioredis.Redis:
    """Make an asyncio client; the arguments are those of :func:`sync_client`.

    Where every connection is in use a command waits for one, as long as its caller lets it.
    """
    options = _options(settings, timeout_s, connections)
    pool = aioredis.BlockingConnectionPool.from_url(
        _address(settings), retry=AsyncRetry(_backoff(), retries), timeout=None, **options
    )
    pool.connection_class = _CONNECTIONS.get(pool.connection_class, pool.connection_class)
    return aioredis.Redis.from_pool(pool)
