"""Holding a call until its job ends, without ever losing sight of the caller."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from fastapi import Request

from api.resources import Resources
from shared.errors import Stopping, StoreUnavailable

T = TypeVar("T")

# How long a held call outlives the store; the job itself is safe meanwhile.
STORE_GAP_S: Final = 60.0


class CallerGone(Exception):
    """The client has hung up."""


async def hold(request: Request, resources: Resources, job_id: str, timeout_s: float) -> bool:
    """Wait until a job has ended; False when ``timeout_s`` passed first.

    Raises:
        CallerGone: the client hung up meanwhile.
        Stopping: this process was told to end; a retry attaches to the job at another one.
    """
    if timeout_s <= 0:
        return False
    waiting = asyncio.ensure_future(resources.watch.ended(job_id, timeout_s))
    leaving = asyncio.ensure_future(_disconnected(request))
    stopping = asyncio.ensure_future(resources.stopping.wait())
    try:
        await asyncio.wait({waiting, leaving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        if leaving.done():
            raise CallerGone
        raise Stopping(job_id=job_id, retry_after_s=1)
    finally:
        for task in (waiting, leaving, stopping):
            task.cancel()


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


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
