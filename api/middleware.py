"""What happens to every request before its route: an id, a bounded body, and one line in the log.

Pure ASGI: wrappers that buffer responses would hide that a client has gone.
"""

import re
import secrets
import time
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import bug_response, error_response
from api.metrics import observe_request
from shared import tracing
from shared.errors import BodyTooLarge, NotJson
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
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.match(given) else new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        span = tracing.current()
        span.note({"darkroom.request.id": request_id})
        structlog.contextvars.bind_contextvars(request_id=request_id, **span.ids)
        started = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers.update(scope["state"].get("headers", {}))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if status:
                raise  # too late for another answer: the server cuts the connection
            # Here and not in the application's own handler, which answers outside of this middleware.
            await bug_response(error)(scope, receive, send_with_id)
        finally:
            write = log.debug if scope["path"] in PROBES else log.info
            took_s = time.monotonic() - started
            observe_request(scope, status, took_s)
            duration_ms = round(took_s * 1000, 1)
            write(
                "request.answered",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=duration_ms,
            )


class JsonBodies:
    """Reads the body that a path takes within its limit before anything parses it; refuses what is not JSON.

    Args:
        app: what is wrapped.
        path: the path that takes a body by POST.
        max_bytes: the limit.
    """

    def __init__(self, app: ASGIApp, path: str, max_bytes: int) -> None:
        self._app = app
        self._path = path
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", self._path):
            await self._app(scope, receive, send)
            return
        headers = MutableHeaders(scope=scope)
        media_type = headers.get("content-type", "").split(";")[0].strip().lower()
        if not media_type.endswith("json"):
            await error_response(NotJson())(scope, receive, send)
            return
        # Whatever kind of JSON the caller named, the parser behind knows it by this name only.
        headers["content-type"] = "application/json"
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_bytes:
            await error_response(BodyTooLarge())(scope, receive, send)
            return
        try:
            body = await self._read(receive)
        except ClientDisconnect:
            return  # half a body is none, even where it can be read as one
        except BodyTooLarge as error:
            await error_response(error)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes:
        """Return the body.

        Raises:
            BodyTooLarge: it is larger than allowed; a chunked one has no length to go by.
            ClientDisconnect: it ends before its end.
        """
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                raise BodyTooLarge
            if not message.get("more_body", False):
                return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
