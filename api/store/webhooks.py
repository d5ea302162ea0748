"""How far others have been told how jobs ended, for the operator's view."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.jobs.keys import Keys
from shared.webhooks import COURIER_LIVE_S


@dataclass(frozen=True)
class WebhookState:
    """Telling others how jobs ended.

    ``pending`` deliveries are to be tried, the first of them for ``late_s`` already: 0 where none is late.
    ``couriers`` are those that live. The rest counts since the store is there: deliveries, tries that failed
    and are repeated, deliveries that were given up.
    """

    couriers: int
    pending: int
    late_s: float
    delivered: int
    failed: int
    given_up: int


def ask_webhooks(pipe: Any, keys: Keys) -> tuple[Any, ...]:  # noqa: ANN401 - see api.store.client.Fill
    """Put into a pipeline what :func:`webhook_state` reads."""
    return (
        pipe.zrange(keys.couriers, 0, -1, withscores=True),
        pipe.zcard(keys.deliveries),
        pipe.zrange(keys.deliveries, 0, 0, withscores=True),
        pipe.hgetall(keys.counts),
    )


def webhook_state(replies: Sequence[Any], now_ms: int) -> WebhookState:
    """Read the replies at this instant of Redis's clock."""
    couriers, pending, first, counts = replies

    def counted(what: str) -> int:
        return sum(int(times) for name, times in counts.items() if name.endswith(f":webhook:{what}".encode()))

    return WebhookState(
        couriers=sum(at >= now_ms - COURIER_LIVE_S * 1000 for _, at in couriers),
        pending=pending,
        late_s=max(0.0, (now_ms - first[0][1]) / 1000) if first else 0.0,
        delivered=counted("delivered"),
        failed=counted("failed"),
        given_up=counted("given_up"),
    )
