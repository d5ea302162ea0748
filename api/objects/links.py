"""Addresses of a job's pictures, where they lie in the store of results."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlencode

from api.objects.signing import Signer
from api.provided import provided
from shared.errors import ObjectUnavailable
from shared.jobs.record import JobRecord
from shared.objects import ObjectStore

FILES_PATH = "/files/"


@dataclass(frozen=True, slots=True)
class Links:
    """Makes addresses. ``objects`` is None where no store of results is named."""

    objects: ObjectStore | None
    signer: Signer

    async def shown(self, record: JobRecord, images: Sequence[bytes], base: str) -> list[bytes]:
        """Return a job's images as its caller gets them: base64 as it is, names as addresses.

        Args:
            record: the job.
            images: what its result holds.
            base: the address of this service, as its caller knows it.

        Raises:
            ObjectUnavailable: no store is named any more, or it gives no addresses now.
            StoreUnavailable: Redis is away.
        """
        if not record.params.stored:
            return list(images)
        expires = (record.expires_at or 0) // 1000
        return [(await self.address(name.decode(), expires, base)).encode() for name in images]

    async def address(self, name: str, expires: int, base: str) -> str:
        """Return an address at which anybody can read an object until an instant in unix seconds.

        Raises:
            ObjectUnavailable: no store is named any more, or it gives no addresses now.
            StoreUnavailable: Redis is away.
        """
        if self.objects is None:
            message = "This service knows its store of results no more."
            raise ObjectUnavailable(message)
        if self.objects.folder is None:
            # Where no key is set, the one of the machine's role is asked for.
            signed = await asyncio.to_thread(self.objects.signed, name, expires - time.time())
            return signed or ""
        query = urlencode({"expires": expires, "signature": await self.signer.sign(name, expires)})
        return f"{base}{FILES_PATH}{quote(name)}?{query}"


LinksDep = Annotated[Links, provided("links")]
