"""What both streams are made of: waiting for news, fetching previews, ending with an error.

Previews are told by name and fetched when they are written, so a reader that is slow gets fewer steps and the
same previews. None is sent twice: a second attempt draws the same ones again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any

from api.cancelling import cancel_all
from api.errors import bug_content, error_content
from api.http.sse import event
from api.store.jobs import JobStore, PreviewName
from api.waiting.follow import Follower
from shared.errors import DarkroomError, StoreUnavailable


async def told_as_events(events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield events; what is raised on the way becomes the last of them."""
    try:
        async with aclosing(events):
            async for each in events:
                yield each
    except DarkroomError as error:
        yield event("error", {"type": "error", **error_content(error)})
    except Exception as error:  # noqa: BLE001 - the answer has begun: this is the only way left to say it
        yield event("error", {"type": "error", **bug_content(error)})


async def fetched(
    store: JobStore, job_id: str, names: set[PreviewName], sent: set[PreviewName]
) -> AsyncIterator[tuple[PreviewName, bytes]]:
    """Yield the previews that were not sent yet, in order, and note them as sent."""
    for name in sorted(names - sent):
        try:
            file = await store.preview(job_id, name)
        except StoreUnavailable:
            return  # it is asked for again, at the latest when the job has ended
        if file is not None:
            sent.add(name)
            yield name, file


async def told(follower: Follower, read: Callable[[], Awaitable[set[PreviewName]]]) -> set[PreviewName]:
    """Return the names of the previews that a follower was told of, or may have missed."""
    names, follower.previews = follower.previews, set()
    if follower.missed:
        follower.missed = False
        try:
            names |= await read()
        except StoreUnavailable:
            follower.missed = True
    return names


@asynccontextmanager
async def waking(
    follower: Follower, *waiting: Callable[[], Coroutine[Any, Any, Any]]
) -> AsyncIterator[tuple[asyncio.Task[Any], ...]]:
    """Run what is waited for beside the follower's news, and make each end a piece of news."""
    tasks = tuple(asyncio.create_task(each()) for each in waiting)
    for task in tasks:
        task.add_done_callback(lambda _: follower.news.set())
    try:
        yield tasks
    finally:
        await cancel_all(tasks)
