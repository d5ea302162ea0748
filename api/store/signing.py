"""The key with which addresses of objects are signed: made once, and the same in every process."""

import secrets

from api.store.client import StoreClient

_BYTES = 32


class SigningKeys:
    """Where the key is kept.

    Args:
        client: the server.
    """

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def read(self) -> bytes:
        """Return the key; it is made where there is none.

        Raises:
            StoreUnavailable: Redis is away.
        """
        name = self._client.keys.signing_key
        found: bytes | None
        # Read first: a Redis that is full answers no command that could write.
        (found,) = await self._client.ask(lambda pipe: pipe.get(name))
        if found is None:
            made = secrets.token_hex(_BYTES).encode()
            (found,) = await self._client.ask(lambda pipe: pipe.set(name, made, nx=True, get=True))
            found = found or made
        return found
