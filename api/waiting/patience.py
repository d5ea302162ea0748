"""Patience with a store that is away: who has waited for a picture waits a little longer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from shared.errors import JobNotFound, StoreUnavailable

T = TypeVar("T")

# How long a held call outlives the store; the job itself is safe meanwhile.
STORE_GAP_S: Final = 60.0


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call of the store through a gap of up to a minute: the caller has waited longer than that.

    Raises:
        StoreUnavailable: the store stayed away.
    """
    give_up_at = time.monotonic() + STORE_GAP_S
    while True:
        try:
            return await call()
        except StoreUnavailable:
            if time.monotonic() > give_up_at:
                raise
            await asyncio.sleep(0.25)


async def accepted(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call of the store about a job that was accepted; patiently.

    Raises:
        StoreUnavailable: the store stayed away, or came back without what it was told last; the client's
            retry makes the job anew.
    """
    try:
        return await patiently(call)
    except JobNotFound as error:
        message = "The job store has lost this job in a crash; send the request again."
        raise StoreUnavailable(message, retry_after_s=1) from error
