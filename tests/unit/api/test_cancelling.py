"""Ending tasks for certain, also when whoever ends them is ended too."""

import asyncio

import pytest

from api.cancelling import cancel_all


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
