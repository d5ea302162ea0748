"""Where batches are made: what is asked for is checked, and couriers find it in Redis."""

import json
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from api.batches.body import ENDPOINTS, WINDOW, BatchRequest
from api.callers.owner import Caller
from api.files.shelf import ShelfDep
from api.provided import provided
from api.store.batches import BatchRecord, BatchStore, NewBatch, new_batch_id
from api.store.files import FileStore, Purpose
from shared.errors import FileNotFound, UnsupportedValue


@dataclass(frozen=True)
class Desk:
    """Makes batches."""

    store: BatchStore
    files: FileStore

    async def begin(
        self, body: BatchRequest, caller: Caller, request_id: str, idempotency_key: str, base: str
    ) -> BatchRecord:
        """Make a batch, or find the one that this call repeats.

        Args:
            body: what is asked for.
            caller: who asks.
            request_id: the request.
            idempotency_key: the caller's name for this call; empty: it has none.
            base: the address of this service, as its caller knows it.

        Raises:
            UnsupportedValue: its endpoint, window or file is for something that this service does not do.
            FileNotFound: the caller has no such file.
            TooManyBatches: the caller has too many that have not ended.
            IdempotencyMismatch: the Idempotency-Key was used with another body.
        """
        if body.endpoint not in ENDPOINTS:
            message = f"The endpoints of batches are {' and '.join(ENDPOINTS)}."
            raise UnsupportedValue(message, param="endpoint")
        if body.completion_window != WINDOW:
            message = f"The only completion_window is '{WINDOW}'."
            raise UnsupportedValue(message, param="completion_window")
        await self._check_file(body.input_file_id, caller.owner)
        digest = caller.digest("batch", body.model_dump_json())
        new = NewBatch(
            new_batch_id(),
            caller.owner,
            body.input_file_id,
            {**_fields(body, caller), "request_id": request_id, "base": base},
            digest,
            caller.digest("batch", idempotency_key) if idempotency_key else "",
        )
        return await self.store.begin(new)

    async def _check_file(self, file_id: str, owner: str) -> None:
        try:
            file = await self.files.read(file_id, owner)
        except FileNotFound as error:
            raise FileNotFound(param="input_file_id") from error
        if file.purpose is not Purpose.BATCH:
            message = "The file of a batch is one with the purpose 'batch'."
            raise UnsupportedValue(message, param="input_file_id")


def _fields(body: BatchRequest, caller: Caller) -> dict[str, str]:
    after = body.output_expires_after
    return {
        "endpoint": body.endpoint,
        "key_id": caller.key.id if caller.key else "",
        "organization": caller.organization,
        "metadata": json.dumps(body.metadata) if body.metadata else "",
        "output_ttl_s": str(after.seconds) if after else "0",
    }


async def _there(shelf: ShelfDep, desk: Annotated[Desk, provided("desk")]) -> Desk:
    """Return the desk.

    Raises:
        UnsupportedEndpoint: the operator has named no store.
    """
    del shelf
    return desk


DeskDep = Annotated[Desk, Depends(_there)]
