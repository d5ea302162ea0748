"""For whom a batch is drawn: the caller who made it, as long as its key counts."""

from dataclasses import dataclass

from api.callers.caller import require
from api.callers.keyring import Keyring
from api.callers.owner import Caller
from api.store.batches import BatchRecord
from shared.api_keys import Scope


@dataclass(frozen=True)
class Callers:
    """Finds the callers of batches."""

    keyring: Keyring

    async def of(self, batch: BatchRecord) -> Caller:
        """Return who made a batch.

        Raises:
            InvalidApiKey: the key that made it no longer counts.
            PermissionDenied: it must not draw any more.
        """
        key = await self.keyring.holder(batch.key_id)
        return require(Caller(batch.owner, self.keyring.salt, key, batch.organization), Scope.GENERATE)
