"""Headers that tell browsers what an answer may do: on every response, whoever made it.

Chosen by the path alone and ready as bytes, so that an answer pays for a list that grows by a few entries.
"""

from collections.abc import Awaitable, Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = tuple[tuple[bytes, bytes], ...]

_NO_PAGE: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# Nothing but this service's own files; pictures are shown from memory.
_PLAYGROUND: Final = (
    f"{_NO_PAGE}; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'"
)
# Swagger UI's stylesheet has its icons in it, and its widgets write styles of their own.
_REFERENCE: Final = (
    f"{_NO_PAGE}; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'"
)
_ALWAYS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",  # what frame-ancestors says, for browsers that do not know it
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def _headers(policy: str, **more: str) -> Headers:
    other = {name.replace("_", "-"): value for name, value in more.items()}
    named: Mapping[str, str] = {**_ALWAYS, "content-security-policy": policy, **other}
    return tuple((name.encode(), value.encode()) for name, value in named.items())


_OF_A_FILE: Final = _headers(_NO_PAGE)
# A picture is its owner's: no cache on the way keeps it, and no browser on its disk.
_OF_AN_ANSWER: Final = _headers(_NO_PAGE, cache_control="no-store")
# Whoever has its address may show a picture, on any page. Opened by itself it runs nothing and is no page of
# this service. How long it is kept says the route, as it knows when it expires.
_OF_A_PICTURE: Final = _headers(f"{_NO_PAGE}; sandbox", cross_origin_resource_policy="cross-origin")
_OF_THE_PLAYGROUND: Final = _headers(_PLAYGROUND)
_OF_A_PATH: Final[Mapping[str, Headers]] = {
    "/": _OF_THE_PLAYGROUND,
    "/docs": _headers(_REFERENCE),
    "/openapi.json": _OF_A_FILE,
}
_OF_A_FOLDER: Final = (
    ("/playground/", _OF_THE_PLAYGROUND),
    ("/static-offline-docs/", _OF_A_FILE),
    ("/files/", _OF_A_PICTURE),
)


def headers_for(path: str) -> Headers:
    """Return the headers of every answer to a path."""
    if path.startswith("/v1/"):
        return _OF_AN_ANSWER
    of_folder = next((headers for folder, headers in _OF_A_FOLDER if path.startswith(folder)), _OF_AN_ANSWER)
    return _OF_A_PATH.get(path, of_folder)


class SecurityHeaders:
    """Adds the headers to every response of the application it wraps."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection; no coroutine of its own: a held call would keep it."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        headers = headers_for(scope["path"])

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        return self._app(scope, receive, send_with_headers)
