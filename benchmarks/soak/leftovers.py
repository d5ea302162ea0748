"""What a service that everybody has left still keeps in Redis."""

import re
from collections import Counter
from typing import Any, Final

import redis

from tests.faults.checker import LASTING, OF_WORK

# Kept for minutes or days on purpose, and never for ever: see shared/jobs/keys.py.
KEPT: Final = r"replay:.*|usage:.*|rate:.*|worker:.*|claimed:.*"


class Leftovers:
    """Looks at every key under one prefix of one server."""

    def __init__(self, store: redis.Redis, prefix: str) -> None:
        self._store: Any = store
        self._prefix = prefix

    def of_work(self) -> list[str]:
        """Return the keys that live as long as work does."""
        return [name for name in self._names() if re.fullmatch(OF_WORK, name)]

    def passing(self) -> list[str]:
        """Return every key that must go in the end and has not gone yet."""
        return [name for name in self._names() if not re.fullmatch(f"{LASTING}|{KEPT}", name)]

    def for_ever(self) -> list[str]:
        """Return the keys that would never go and should."""
        names = [name for name in self._names() if not re.fullmatch(LASTING, name)]
        return [name for name in names if self._store.ttl(self._prefix + name) == -1]

    def counted(self) -> list[str]:
        """Return sums that are not those of their parts: nothing is left to be counted."""
        entries = self._store.zcard(f"{self._prefix}results")
        total = int(self._store.get(f"{self._prefix}result_bytes") or 0)
        return [f"result_bytes is {total} with {entries} results"] if total or entries else []

    def kept(self) -> Counter[str]:
        """Return how many keys there are, by kind: the first word of their names."""
        return Counter(name.split(":", 1)[0] for name in self._names())

    def subscriptions(self) -> list[str]:
        """Return the channels of jobs that somebody still hears."""
        return [channel.decode() for channel in self._store.pubsub_channels(f"{self._prefix}events:*")]

    def _names(self) -> list[str]:
        names = (key.decode() for key in self._store.scan_iter(f"{self._prefix}*", count=1000))
        return [name.removeprefix(self._prefix) for name in names]
