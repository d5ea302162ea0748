"""Holding a call until its job ends, without ever losing sight of the caller.

A route says what a call waits for and how it is answered then. The waiting is done outside of the framework,
and without a task: the connection lets go of everything that a waiting request does not need, and when the
call is woken its answer comes through the application like a request of its own. That is most of what a
held call would cost. Where a connection cannot do that, or a trace wants its span, a task waits.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from api.errors import error_response
from api.metrics import HELD
from api.watch import JobWatch, State, Waiter, Woken, tell
from shared import tracing
from shared.errors import DarkroomError, JobNotFound, Stopping, StoreUnavailable
from shared.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

# How long a held call outlives the store; the job itself is safe meanwhile.
STORE_GAP_S: Final = 60.0

# nginx's status for a client that hung up; nobody receives it, the log line does.
CLIENT_CLOSED_REQUEST: Final = 499

PARKING: Final = "darkroom.parking"
"""The extension of a scope whose connection can wait without a task: its :class:`Parking`."""

# In the state of a scope: the call that a route left to be held; that the request waits and has no answer
# yet; and, of one that is answered now, what was kept of it and why it was woken.
_HELD: Final = "held"
IS_PARKED: Final = "parked"
RESUMED: Final = "resumed"


class Call(Protocol):
    """A call that waits for a job. It outlives its request, so it must keep nothing of it."""

    @property
    def job_id(self) -> str:
        """The job."""

    @property
    def seen(self) -> State | None:
        """The state that the job is to leave; None: it is to end."""

    @property
    def limit_s(self) -> float:
        """The longest wait."""

    @property
    def fresh(self) -> bool:
        """Whether the job was made by this very call."""

    async def answer(self, why: Woken) -> Response:
        """Return the answer, now that the call has been woken."""


class Parking(Protocol):
    """A connection that can wait without a task."""

    def park(self, scope: Scope, gone: Callable[[], None]) -> bool:
        """Let go of a request until it is resumed; False where that cannot be. ``gone``: it hung up."""

    def resume(self, scope: Scope) -> None:
        """Let the application answer, as if a request with this scope had come."""


class Held(Response):
    """What a route returns for a call that waits."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"][_HELD] = self._call


@dataclass(frozen=True, slots=True)
class Parked:
    """What is kept of a call that waits without a task. ``said`` is what its log line will say of it."""

    call: Call
    parking: Parking
    began_at: float
    method: str
    path: str
    route: object
    state: dict[str, Any]
    said: dict[str, Any]

    def resume(self, why: Woken) -> None:
        """Answer the call."""
        state = {**self.state, RESUMED: (self, why)}
        scope = {"type": "http", "method": self.method, "path": self.path, "headers": [], "state": state}
        self.parking.resume({**scope, "route": self.route})


class HeldCalls:
    """Answers held calls when their routes have returned.

    Args:
        app: what is wrapped.
        watch: wakes the calls.
    """

    def __init__(self, app: ASGIApp, watch: JobWatch) -> None:
        self._app = app
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif RESUMED in scope["state"]:
            parked, why = scope["state"][RESUMED]
            await _answer(parked.call, parked.began_at, why, scope, receive, send)
        elif (call := await self._route(scope, receive, send)) is not None:
            await self._hold(call, scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> Call | None:
        """Let the route answer; return what it left to be done."""
        # A scope of its own: what the framework puts there would stay as long as the call.
        inner = dict(scope)
        try:
            await self._app(inner, receive, send)
        finally:
            if "route" in inner:
                scope["route"] = inner["route"]
        found: Call | None = inner["state"].pop(_HELD, None)
        return found

    async def _hold(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        began_at = time.perf_counter()
        HELD.inc()
        if not await self._park(call, began_at, scope):
            with tracing.current().begin("hold"):
                why = await self._woken(call, receive)
            await _answer(call, began_at, why, scope, receive, send)

    async def _park(self, call: Call, began_at: float, scope: Scope) -> bool:
        """Let the call wait without a task; False where it cannot."""
        parking: Parking | None = scope.get("extensions", {}).get(PARKING)
        if parking is None or tracing.current().recording:
            return False
        parked = Parked(
            call=call,
            parking=parking,
            began_at=began_at,
            method=scope["method"],
            path=scope["path"],
            route=scope.get("route"),
            state=dict(scope["state"]),
            said=structlog.contextvars.get_contextvars(),
        )
        waiter = Waiter(call.job_id, call.seen, parked.resume)
        if not parking.park(scope, partial(self._watch.wake, waiter, Woken.CALLER_GONE)):
            return False
        scope["state"][IS_PARKED] = True
        await self._watch.begin(waiter, call.limit_s, fresh=call.fresh)
        return True

    async def _woken(self, call: Call, receive: Receive) -> Woken:
        """Wait in this task, with another one that sees the caller hang up."""
        woken: asyncio.Future[Woken] = asyncio.get_running_loop().create_future()
        waiter = Waiter(call.job_id, call.seen, partial(tell, woken))
        leaving = asyncio.create_task(self._tell_when_left(waiter, receive))
        try:
            await self._watch.begin(waiter, call.limit_s, fresh=call.fresh)
            return await woken
        finally:
            leaving.cancel()
            self._watch.leave(waiter)

    async def _tell_when_left(self, waiter: Waiter, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        self._watch.wake(waiter, Woken.CALLER_GONE)


async def _answer(
    call: Call, began_at: float, why: Woken, scope: Scope, receive: Receive, send: Send
) -> None:
    try:
        if why is Woken.STOPPING:
            raise Stopping(job_id=call.job_id, retry_after_s=1)
        response = await call.answer(why)
    except DarkroomError as error:
        response = error_response(error)
    finally:
        HELD.dec()
        structlog.contextvars.bind_contextvars(held_ms=round(1000 * (time.perf_counter() - began_at), 1))
    await response(scope, receive, send)


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
