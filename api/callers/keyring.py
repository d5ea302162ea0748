"""Which keys there are, as this process knows it: asked of Redis again every second."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Final

from api.provided import provided
from api.store.accounts import AccountStore
from shared.api_keys import ApiKey, id_of
from shared.errors import InvalidApiKey, StoreUnavailable

FRESH_S: Final = 1.0
# While Redis is away nobody can be asked; what was known a minute ago still says who is who.
STALE_S: Final = 60.0
# So long a request waits for news of a key that is known; behind this it has another question to Redis, and
# both together may take 2 s.
NEWS_S: Final = 0.2
_MOST_KNOWN: Final = 10_000


@dataclass(frozen=True)
class _Known:
    """What was last heard of a key, and whether there were keys at all."""

    key: ApiKey | None
    any_keys: bool
    asked_at: float

    def younger_than(self, age_s: float) -> bool:
        return time.monotonic() - self.asked_at < age_s


class Keyring:
    """Tells whose key a request carries.

    Args:
        store: where keys are kept.
        salt: of their digests.
        closed: nobody is served without a key, even while there are none.
    """

    def __init__(self, store: AccountStore, salt: bytes, *, closed: bool) -> None:
        self.salt = salt
        self._store = store
        self._closed = closed
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def find(self, text: str) -> ApiKey | None:
        """Return the key that this text is; None where there are no keys and none is needed.

        Raises:
            InvalidApiKey: a key is needed, and this is none or one that no longer counts.
            StoreUnavailable: Redis is away, and was for longer than what is known can be trusted.
        """
        known = await self._ask(id_of(text) or "")
        if not known.any_keys and not self._closed:
            return None
        if known.key is None or not known.key.opens(text, self.salt):
            message = None if text else "An API key is needed: send it as 'Authorization: Bearer <key>'."
            raise InvalidApiKey(message)
        return known.key

    async def holder(self, key_id: str) -> ApiKey | None:
        """Return the key of this id, whose caller was let in before; None where that was without one.

        Whether a service without keys is open is for who lets callers in to know, and not asked again.

        Raises:
            InvalidApiKey: it no longer counts, or there are keys by now.
            StoreUnavailable: Redis is away, and was for longer than what is known can be trusted.
        """
        known = await self._ask(key_id)
        if known.key is None and not (key_id or known.any_keys):
            return None
        if known.key is None or not known.key.counts:
            raise InvalidApiKey
        return known.key

    async def is_open(self) -> bool:
        """Return whether everybody is served without a key.

        Raises:
            StoreUnavailable: Redis is away, and nobody knows.
        """
        return not self._closed and not (await self._ask("")).any_keys

    async def _ask(self, key_id: str) -> _Known:
        known = self._known.get(key_id)
        if known and known.younger_than(FRESH_S):
            return known
        trusted = known if known and known.younger_than(STALE_S) else None
        try:
            async with asyncio.timeout(NEWS_S if trusted else None):
                count, words = await self._store.api_key(key_id)
        except (StoreUnavailable, TimeoutError):
            if trusted:
                return trusted
            raise
        known = _Known(ApiKey.model_validate_json(words) if words else None, count > 0, time.monotonic())
        self._known[key_id] = known
        self._known.move_to_end(key_id)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return known


KeyringDep = Annotated[Keyring, provided("keyring")]
