"""What commands that change Redis themselves say when they cannot."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from shared.errors import ConfigurationError, StoreUnavailable
from shared.redis_clients import UNREACHABLE
from shared.redis_reasons import reason_of


@contextmanager
def reaching() -> Iterator[None]:
    """Translate what redis-py raises.

    Raises:
        StoreUnavailable: Redis cannot be reached, or lets nobody of this name and password in.
        ConfigurationError: it lets this user in, but not do this.
    """
    try:
        yield
    except UNREACHABLE as error:
        message = f"the job store cannot be reached: {reason_of(error)}"
        raise StoreUnavailable(message) from error
    except redis.exceptions.NoPermissionError as error:
        message = (
            "this user of the job store may not do that: name the operator's in DARKROOM_REDIS__URL "
            f"(docs/store.md): {error}"
        )
        raise ConfigurationError(message) from error
