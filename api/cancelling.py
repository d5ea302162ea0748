"""Ending tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

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
