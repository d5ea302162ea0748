"""Holding a call until its job ends, without ever losing sight of the caller.

A route says what a call waits for and how it is answered then; the waiting itself is done outside of the
framework, when everything that the route was made of has gone. That is most of what a held call would cost.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bind_contextvars
from typing_extensions import override

from api.errors import error_response
from api.metrics import HELD
from shared import tracing
from shared.errors import DarkroomError, JobNotFound, StoreUnavailable
from shared.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")
Answer = Callable[[Receive], Awaitable[Response]]

# How long a held call outlives the store; the job itself is safe meanwhile.
STORE_GAP_S: Final = 60.0


# nginx's status for a client that hung up; nobody receives it, the log line does.
CLIENT_CLOSED_REQUEST: Final = 499

_HELD: Final = "held"


class Held(Response):
    """What a route returns for a call that waits: how it will be answered.

    Args:
        answer: waits, then returns the response; with ``receive`` it sees a caller hang up. It must not
            keep the request: that is the point.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"][_HELD] = self._answer


class HeldCalls:
    """Answers held calls when their routes have returned."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = await self._route(scope, receive, send)
        if answer is None:
            return
        began_at = time.perf_counter()
        HELD.inc()
        try:
            with tracing.current().begin("hold"):
                response = await answer(receive)
        except DarkroomError as error:
            response = error_response(error)
        finally:
            HELD.dec()
            bind_contextvars(held_ms=round(1000 * (time.perf_counter() - began_at), 1))
        await response(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """Let the route answer; return what it left to be done."""
        # A scope of its own: what the framework puts there would stay as long as the call.
        inner = dict(scope)
        try:
            await self._app(inner, receive, send)
        finally:
            if "route" in inner:
                scope["route"] = inner["route"]
        found: Answer | None = inner["state"].pop(_HELD, None)
        return found


def left(job_id: str) -> Response:
    """Return the response that nobody receives."""
    log.info("caller.left", job_id=job_id)
    return Response(status_code=CLIENT_CLOSED_REQUEST)


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
