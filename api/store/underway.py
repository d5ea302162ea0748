"""How batches are getting on, for the operator's view."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.jobs.keys import Keys


@dataclass(frozen=True)
class BatchState:
    """Batches.

    ``unfinished`` have not ended; a courier could have worked on the first of them for ``late_s`` already: 0
    where none is late. The rest counts since the store is there.
    """

    unfinished: int
    late_s: float
    completed: int
    failed: int
    expired: int
    cancelled: int


def ask_batches(pipe: Any, keys: Keys) -> tuple[Any, ...]:  # noqa: ANN401 - see api.store.client.Fill
    """Put into a pipeline what :func:`batch_state` reads."""
    return (
        pipe.zcard(keys.batches),
        pipe.zrange(keys.batches, 0, 0, withscores=True),
        pipe.hgetall(keys.counts),
    )


def batch_state(replies: Sequence[Any], now_ms: int) -> BatchState:
    """Read the replies at this instant of Redis's clock."""
    unfinished, first, counts = replies

    def counted(status: str) -> int:
        return int(counts.get(f":batches:{status}".encode(), 0))

    return BatchState(
        unfinished=unfinished,
        late_s=max(0.0, (now_ms - first[0][1]) / 1000) if first else 0.0,
        completed=counted("completed"),
        failed=counted("failed"),
        expired=counted("expired"),
        cancelled=counted("cancelled"),
    )
