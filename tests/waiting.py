"""Waiting for what other threads and processes do, instead of sleeping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout_s: float = 10.0, what: str = "the condition") -> T:
    """Return the predicate's first true value."""
    give_up_at = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > give_up_at:
            message = f"{what} did not come true within {timeout_s} s"
            raise AssertionError(message)
        time.sleep(0.01)
    return value


async def wait_until_async(
    predicate: Callable[[], Awaitable[T]], timeout_s: float = 10.0, what: str = "the condition"
) -> T:
    """Return the awaited predicate's first true value."""
    give_up_at = time.monotonic() + timeout_s
    while not (value := await predicate()):
        if time.monotonic() > give_up_at:
            message = f"{what} did not come true within {timeout_s} s"
            raise AssertionError(message)
        await asyncio.sleep(0.01)
    return value
