"""Ending tasks for certain, also when whoever ends them is ended too."""

import asyncio
import time

import pytest

from api.cancelling import cancel_all, within


async def deaf(times: int, heard: list[str]) -> None:
    """Ends at a later cancellation than the first."""
    for _ in range(times):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append("cancelled")
    heard.append("ended")


async def test_a_task_that_loses_a_cancellation_is_asked_again() -> None:
    heard: list[str] = []
    task = asyncio.create_task(deaf(2, heard))
    await asyncio.sleep(0)

    await cancel_all([task])

    assert heard == ["cancelled", "cancelled", "ended"]


async def test_whoever_is_cancelled_while_it_cancels_leaves_nothing_running() -> None:
    heard: list[str] = []
    inner = asyncio.create_task(deaf(3, heard))
    await asyncio.sleep(0)
    outer = asyncio.create_task(cancel_all([inner]))
    await asyncio.sleep(0.01)

    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer

    assert inner.done()
    assert heard[-1] == "ended"


async def test_whoever_waits_is_told_in_time_also_where_the_cancellation_is_lost() -> None:
    heard: list[str] = []
    began_at = time.monotonic()

    with pytest.raises(TimeoutError):
        await within(0.05, deaf(2, heard))

    assert time.monotonic() - began_at < 2
    await asyncio.sleep(0)
    assert heard == ["cancelled"]


async def test_what_comes_in_time_is_what_is_returned_or_raised() -> None:
    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        return 10 // number

    assert await within(5, answer(2)) == 5
    with pytest.raises(ZeroDivisionError):
        await within(5, answer(0))


async def test_whoever_is_cancelled_while_it_waits_cancels_what_it_waits_for() -> None:
    heard: list[str] = []
    waiting = asyncio.create_task(within(60, deaf(1, heard)))
    await asyncio.sleep(0.01)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)

    assert heard == ["cancelled", "ended"]
