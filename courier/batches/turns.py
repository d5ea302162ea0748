"""A turn at a batch: what is to be done with it, by how far it is."""

from dataclasses import dataclass
from typing import Final

from api.store.batches import BatchStatus, BatchStore, Turn
from courier.batches.checking import Checking
from courier.batches.drawing import Drawing
from courier.batches.ending import Ending

_OVER: Final = frozenset({BatchStatus.FINALIZING, BatchStatus.CANCELLING})


@dataclass(frozen=True)
class Turns:
    """Takes turns."""

    store: BatchStore
    checking: Checking
    drawing: Drawing
    ending: Ending

    async def go(self, turn: Turn) -> None:
        """Do what is next. The turn is over when this returns.

        Raises:
            LeaseLost: the batch is another turn's, or was cancelled meanwhile.
            BatchNotFound: it is gone.
            Refused: something that it needs cannot be reached now.
        """
        status = turn.record.status
        if status is BatchStatus.VALIDATING:
            await self.checking.go(turn)
        elif status is BatchStatus.IN_PROGRESS:
            await self.drawing.go(turn)
        elif status in _OVER:
            await self.ending.go(turn)
