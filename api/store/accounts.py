"""What is kept of callers: their keys, how often they ask, what they used."""

from typing import Annotated

from api.provided import provided
from api.store.client import StoreClient


class AccountStore:
    """Keys, counts and usage.

    Args:
        client: the server.

    Every method raises StoreUnavailable where Redis is away.
    """

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def api_key(self, key_id: str) -> tuple[int, bytes | None]:
        """Return how many API keys there are, and what is kept of this one."""
        name = self._client.keys.api_keys
        count, words = await self._client.ask(lambda pipe: (pipe.hlen(name), pipe.hget(name, key_id)))
        return count, words

    async def signs_for_all(self) -> bool:
        """Whether there is a secret for the webhooks of callers without a key."""
        (there,) = await self._client.ask(lambda pipe: pipe.exists(self._client.keys.open_webhook))
        return bool(there)

    async def count(self, subject: str, limit: int, window_ms: int) -> tuple[bool, int, int, int]:
        """Count a request against a limit.

        Args:
            subject: whose.
            limit: requests a window.
            window_ms: the window.

        Returns:
            Whether it is allowed, how many are left, ms until all are there again, ms until one is.
        """
        rate = self._client.keys.rate(subject)
        allowed, left, whole_ms, wait_ms = await self._client.run(
            "rate", rate=rate, limit=limit, window_ms=window_ms
        )
        return bool(allowed), left, whole_ms, wait_ms

    async def usage(self, subject: str, days: range) -> list[dict[str, int]]:
        """Return what was used on each day (counted from 1970), by ``model:what``."""
        keys = self._client.keys
        rows = await self._client.ask(lambda pipe: [pipe.hgetall(keys.usage(subject, day)) for day in days])
        return [{name.decode(): int(amount) for name, amount in row.items()} for row in rows]


AccountStoreDep = Annotated[AccountStore, provided("accounts")]
