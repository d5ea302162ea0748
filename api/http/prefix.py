"""A prefix before every path, where a proxy serves this service below one beside other sites.

Whatever is inside of this piece knows no prefix: it reads the paths of its routes, and says them.
"""

from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOCATION: Final = b"location"


def without_prefix(path: str, prefix: str) -> str:
    """Return a path without the prefix; one that lacks it is returned as it is."""
    return path.removeprefix(prefix) if path == prefix or path.startswith(f"{prefix}/") else path


class Prefix:
    """Takes the prefix off the path, where the proxy has left it there, and puts it before each ``Location``.

    ASGI's own ``root_path`` stays empty: what is mounted would look for its files below it, where a proxy has
    taken the prefix off already.

    Args:
        app: what is wrapped.
        prefix: as ``/darkroom``.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection; no coroutine of its own: a held call would keep it."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        scope["path"] = without_prefix(scope["path"], self._prefix)

        async def send_below(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [self._below(*header) for header in message.get("headers", ())]
            await send(message)

        return self._app(scope, receive, send_below)

    def _below(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        is_path = name == _LOCATION and value.startswith(b"/") and not value.startswith(b"//")
        return name, (self._prefix.encode() + value if is_path else value)
