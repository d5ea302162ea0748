"""Held calls: each is its request's own task, which waits for a job and for its caller to hang up."""

import asyncio
import time
from typing import Final, Protocol

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from api.cancelling import cancel_all
from api.errors import error_response
from api.metrics import HELD
from api.waiting.watch import JobWatch, State, Waiter, Woken
from shared import tracing
from shared.errors import DarkroomError, Stopping
from shared.logs import get_logger

log = get_logger(__name__)

# nginx's status for a client that hung up; nobody receives it, the log line does.
CLIENT_CLOSED_REQUEST: Final = 499


class Call(Protocol):
    """What a call waits for, and how it is answered."""

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


class Held(Response):
    """What a route returns for a call that waits."""

    def __init__(self, call: Call, watch: JobWatch) -> None:
        super().__init__()
        self._call = call
        self._watch = watch

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_at = time.perf_counter()
        with HELD.track_inprogress():
            with tracing.current().begin("hold"):
                why = await self._woken(receive)
            response = await self._answer(why)
        structlog.contextvars.bind_contextvars(held_ms=round(1000 * (time.perf_counter() - began_at), 1))
        await response(scope, receive, send)

    async def _woken(self, receive: Receive) -> Woken:
        waiter = Waiter(self._call.job_id, self._call.seen)
        leaving = asyncio.create_task(_hung_up(receive))
        leaving.add_done_callback(lambda _: waiter.wake(Woken.CALLER_GONE))
        try:
            return await self._watch.wait(waiter, self._call.limit_s, fresh=self._call.fresh)
        finally:
            await cancel_all([leaving])

    async def _answer(self, why: Woken) -> Response:
        try:
            if why is Woken.STOPPING:
                raise Stopping(job_id=self._call.job_id, retry_after_s=1)
            return await self._call.answer(why)
        except DarkroomError as error:
            return error_response(error)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def left(job_id: str) -> Response:
    """Return the response that nobody receives."""
    log.info("caller.left", job_id=job_id)
    return Response(status_code=CLIENT_CLOSED_REQUEST)
