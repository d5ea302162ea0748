"""Calling the scripts that change a job, blocking: as workers and couriers do."""

from collections.abc import Callable
from typing import Any, TypeVar

import redis

from shared.errors import StoreUnavailable
from shared.jobs import scripts
from shared.redis_clients import UNREACHABLE

T = TypeVar("T")


class ScriptRunner:
    """Runs scripts on one server, which reads each once.

    Args:
        client: the server.
        prefix: of every key.
    """

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client: Any = client
        self._prefix = prefix
        self._registered: dict[str, Callable[..., Any]] = {}

    def run(self, name: str, **values: scripts.Argument) -> list[Any]:
        """Return a script's reply without its code.

        Raises:
            StoreUnavailable: the server is away, or has no memory for it.
            DarkroomError: the one that the reply's code stands for.
        """
        script = scripts.load(name)
        if name not in self._registered:
            self._registered[name] = self._client.register_script(script.source)
        keys, args = script.bind(self._prefix, values)
        return scripts.checked(reaching(lambda: self._registered[name](keys=keys, args=args)))


def reaching(call: Callable[[], T]) -> T:
    """Return what a call to the server returns, its driver's errors said in our words.

    Raises:
        StoreUnavailable: the server is away, or has no memory for it.
    """
    try:
        return call()
    except UNREACHABLE as error:
        raise StoreUnavailable from error
    except redis.exceptions.OutOfMemoryError as error:
        message = "The job store has no memory left."
        raise StoreUnavailable(message) from error
