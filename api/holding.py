"""Holding a call until its job ends, without ever losing sight of the caller."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from fastapi import Request
from starlette.responses import Response
from structlog.contextvars import bind_contextvars

from api.cancelling import cancel_all
from api.metrics import HELD
from api.resources import Resources
from api.store import ApiStore
from shared import tracing
from shared.errors import JobNotFound, Stopping, StoreUnavailable
from shared.jobs.record import JobRecord
from shared.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

# How long a held call outlives the store; the job itself is safe meanwhile.
STORE_GAP_S: Final = 60.0


# nginx's status for a client that hung up; nobody receives it, the log line does.
CLIENT_CLOSED_REQUEST: Final = 499


class CallerGone(Exception):
    """The client has hung up."""


def left(job_id: str) -> Response:
    """Return the response that nobody receives."""
    log.info("caller.left", job_id=job_id)
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def hold(
    request: Request, resources: Resources, job_id: str, waiting: Coroutine[Any, Any, bool]
) -> bool:
    """Wait for a job as long as its caller does; return what the waiting brings.

    Args:
        request: the caller's.
        resources: the process's.
        job_id: the job.
        waiting: one of the waits of :class:`api.watch.JobWatch`.

    Raises:
        CallerGone: the client hung up meanwhile.
        Stopping: this process was told to end; a retry attaches to the job at another one.
    """
    answer = asyncio.create_task(waiting)
    leaving = asyncio.create_task(_disconnected(request))
    stopping = asyncio.create_task(_told_to_end(resources))
    with _observed():
        try:
            await asyncio.wait({answer, leaving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if leaving.done():
                raise CallerGone
            raise Stopping(job_id=job_id, retry_after_s=1)
        finally:
            await cancel_all((answer, leaving, stopping))


@contextmanager
def _observed() -> Iterator[None]:
    """Count a call as held meanwhile, and tell its trace and its line in the log how long it was."""
    began_at = time.perf_counter()
    HELD.inc()
    try:
        with tracing.current().begin("hold"):
            yield
    finally:
        HELD.dec()
        bind_contextvars(held_ms=round(1000 * (time.perf_counter() - began_at), 1))


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


async def accepted(store: ApiStore, job_id: str, owner: str) -> JobRecord:
    """Read the job of a call that was accepted; patiently.

    Raises:
        StoreUnavailable: the store stayed away, or came back without what it was told last; the client's
            retry makes the job anew.
    """
    try:
        return await patiently(lambda: store.read(job_id, owner))
    except JobNotFound as error:
        message = "The job store has lost this job in a crash; send the request again."
        raise StoreUnavailable(message, retry_after_s=1) from error


async def _told_to_end(resources: Resources) -> None:
    await resources.stopping.wait()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
