"""How often a caller may ask."""

import math
from typing import Annotated, Any, Final

from api.callers.owner import Caller
from api.provided import provided
from api.store.accounts import AccountStore
from shared.errors import RateLimitExceeded

_WINDOW_S: Final = 60


class RateLimit:
    """Counts requests against what a key, or the service, allows a minute.

    Args:
        store: where they are counted.
        requests_per_minute: of a caller whose key says nothing else; None: any number.
    """

    def __init__(self, store: AccountStore, requests_per_minute: int | None) -> None:
        self._store = store
        self._requests_per_minute = requests_per_minute

    async def count(self, caller: Caller, state: dict[str, Any]) -> None:
        """Count a request, and say in headers what is left.

        Args:
            caller: who makes it.
            state: that of the request's scope, where the headers of its answer are kept.

        Raises:
            RateLimitExceeded: nothing is left.
        """
        limit = self._limit(caller)
        if limit is None:
            return
        subject = caller.key.id if caller.key else caller.owner
        allowed, left, whole_ms, wait_ms = await self._store.count(subject, limit, _WINDOW_S * 1000)
        state["headers"] = {
            # The names of OpenAI's service, and those of the IETF's draft.
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": f"{whole_ms}ms",
            "ratelimit-policy": f'"requests";q={limit};w={_WINDOW_S}',
            "ratelimit": f'"requests";r={left};t={math.ceil(whole_ms / 1000)}',
        }
        if not allowed:
            message = f"Rate limit reached: {limit} requests a minute."
            raise RateLimitExceeded(message, retry_after_s=math.ceil(wait_ms / 1000))

    def _limit(self, caller: Caller) -> int | None:
        own = caller.key.requests_per_minute if caller.key else None
        return own if own is not None else self._requests_per_minute


RateLimitDep = Annotated[RateLimit, provided("rate_limit")]
