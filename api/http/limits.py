"""An end to every body: to its size and to the time that it may take, and to what it may be.

How large a head may be, how slowly it may come, how slowly an answer may be read and how many connections
there may be is the proxy's to bound, with the configuration in ``deploy/proxy``.
"""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import error_response
from api.http.content import check_content
from shared.errors import BodyTooLarge, DarkroomError, RequestTimeout
from shared.settings import ApiSettings


class BodyLimits:
    """Reads what is posted to its end before the application is asked, and answers where it has none.

    Args:
        app: what is wrapped.
        settings: those of the HTTP process.
        wants_json: whether a path takes JSON; whatever kind of JSON the caller names, the framework knows it
            by one name only.
    """

    def __init__(self, app: ASGIApp, settings: ApiSettings, wants_json: Callable[[str], bool]) -> None:
        self._app = app
        self._max_bytes = settings.max_body_bytes
        self._timeout_s = settings.body_timeout_s
        self._wants_json = wants_json

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] != "POST" or not self._wants_json(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            check_content(_headers(scope), self._max_bytes)
            body = await self._read(receive)
        except DarkroomError as error:
            await error_response(error)(scope, receive, send)
            return
        if body is None:
            return  # half a body is none, even where it can be read as one
        others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
        scope["headers"] = [*others, (b"content-type", b"application/json")]
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the body; None where its sender has gone before its end.

        Raises:
            BodyTooLarge: it is larger than allowed.
            RequestTimeout: it takes longer than allowed.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    body += message.get("body", b"")
                    if len(body) > self._max_bytes:
                        raise BodyTooLarge
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            raise RequestTimeout from error


def _headers(scope: Scope) -> dict[str, str]:
    # Of one that comes twice the first counts; the entrance refuses those that must not.
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
