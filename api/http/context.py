"""What happens to every request before its route: an id, and one line in the log.

Pure ASGI: wrappers that buffer responses would hide that a client has gone.
"""

import re
import secrets
import time
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import bug_response
from api.metrics import observe_request
from shared import tracing
from shared.logs import get_logger

log = get_logger(__name__)

# Asked every few seconds by whoever watches: not worth a line or a span each.
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})

_REQUEST_ID: Final = re.compile(r"^[\w.:-]{1,128}$", re.ASCII)


def new_request_id() -> str:
    """Return an id for a request that brought none."""
    return f"req_{secrets.token_hex(16)}"


class RequestContext:
    """Gives each request an id, sends it back as ``x-request-id``, and writes the canonical log line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # What stands behind a body is appended to the server's list, where it would pass for a header.
        scope["headers"] = list(scope["headers"])
        state, began_at = scope["state"], time.monotonic()
        request_id = state["request_id"] = _request_id(scope)
        span = tracing.current()
        span.note({"darkroom.request.id": request_id})
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id, **span.ids)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [(b"x-request-id", request_id.encode())]
                more += [(k.encode(), v.encode()) for k, v in state.get("headers", {}).items()]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if status:
                raise  # too late for another answer: the server cuts the connection
            # Here and not in the application's own handler, which answers outside of this middleware.
            await bug_response(error)(scope, receive, send_with_id)
        finally:
            _end(scope, status, time.monotonic() - began_at)


def _request_id(scope: Scope) -> str:
    """Return the id that the request brought, or a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    text: str = given.decode("latin-1")
    return text if _REQUEST_ID.match(text) else new_request_id()


def _end(scope: Scope, status: int, took_s: float) -> None:
    """Count the request, and write its line."""
    write = log.debug if scope["path"] in PROBES else log.info
    observe_request(scope, status, took_s)
    write(
        "request.answered",
        method=scope["method"],
        path=scope["path"],
        status=status,
        duration_ms=round(took_s * 1000, 1),
    )
