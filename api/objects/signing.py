"""Signatures of addresses: who has one may read one object until one instant, and nothing else."""

import asyncio
import base64
import hashlib
import hmac
import time
from typing import Final

from api.store.signing import SigningKeys
from shared.errors import StoreUnavailable

FRESH_S: Final = 60.0
"""So long a key is taken for the one in Redis."""
# So soon it is read again where a signature is wrong: another process may have made a new one.
_DOUBT_S: Final = 1.0


class Signer:
    """Signs, and checks what was signed, by any process.

    Args:
        keys: where the key is kept.
    """

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._key: bytes | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def sign(self, name: str, expires: int) -> str:
        """Return the signature of a name until an instant in unix seconds.

        Raises:
            StoreUnavailable: the key is not known, and Redis is away.
        """
        return _signature(await self._current(FRESH_S), name, expires)

    async def has_signed(self, name: str, expires: int, signature: str) -> bool:
        """Whether this is the signature of a name and an instant.

        Raises:
            StoreUnavailable: the key is not known, and Redis is away.
        """
        for age_s in (FRESH_S, _DOUBT_S):
            right = _signature(await self._current(age_s), name, expires)
            if hmac.compare_digest(right.encode(), signature.encode()):
                return True
        return False

    async def _current(self, age_s: float) -> bytes:
        """Return the key as it was in Redis so long ago at most; while Redis is away, as it was."""
        async with self._reading:
            if self._key is None or time.monotonic() - self._read_at > age_s:
                try:
                    self._key = await self._keys.read()
                except StoreUnavailable:
                    if self._key is None:
                        raise
                self._read_at = time.monotonic()
            return self._key


def _signature(key: bytes, name: str, expires: int) -> str:
    # The instant is digits alone, so no two pairs give one text.
    digest = hmac.digest(key, f"{expires}\n{name}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
