"""Ending tasks for certain, and waiting for no longer than was said."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")

_ASK_AGAIN_S: Final = 0.2


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended.

    Asked again until it works: ``wait_for`` of Python 3.11, in which redis-py sends, can lose a cancellation.
    For the same reason whoever waits here may be asked again too: it leaves only when they have ended.
    """
    running = {task for task in tasks if not task.done()}
    told: asyncio.CancelledError | None = None
    while running:
        for task in running:
            task.cancel()
        try:
            _, running = await asyncio.wait(running, timeout=_ASK_AGAIN_S)
        except asyncio.CancelledError as error:
            told = error
            running = {task for task in running if not task.done()}
    if told is not None:
        raise told


async def within(timeout_s: float, doing: Awaitable[T]) -> T:
    """Return what comes of it, or give up in time, whatever becomes of it.

    A task of its own, and not ``asyncio.timeout``: a cancellation that is lost in ``wait_for`` would be the
    only one that comes.

    Raises:
        TimeoutError: nothing came.
    """
    task = asyncio.ensure_future(doing)
    task.add_done_callback(_look_at)
    try:
        done, _ = await asyncio.wait([task], timeout=timeout_s)
    finally:
        task.cancel()
    if not done:
        raise TimeoutError
    return task.result()


def _look_at(task: asyncio.Future[Any]) -> None:
    """Take note of how a task ended that nobody may wait for any more; asyncio would complain."""
    if not task.cancelled():
        task.exception()
