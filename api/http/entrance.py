"""What a request must be before anything answers it: unambiguous, and meant for this service.

Without an API key, what protects the service is that only this machine reaches it. A browser of this machine
does so too, on behalf of any page: see SECURITY.md.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import error_response
from api.http.hosts import Authority, Hosts, Origin
from shared.errors import (
    DarkroomError,
    HostNotAllowed,
    InvalidHttp,
    OriginNotAllowed,
    UnsupportedExpectation,
    UnsupportedTransferEncoding,
)
from shared.settings import ApiSettings
from shared.web_addresses import ANY

# Two of one of them could be read in two ways, by us and by what stands in front of us.
ONCE: Final = {
    name.lower().encode(): name
    for name in (
        "Host",
        "Authorization",
        "Content-Encoding",
        "Content-Type",
        "Idempotency-Key",
        "Last-Event-ID",
        "OpenAI-Organization",
        "OpenAI-Project",
        "Origin",
        "x-stainless-retry-count",
    )
}

_SIGNED: Final = "/files/"
_ELSEWHERE: Final = frozenset({b"cross-site", b"same-site"})

Headers = list[tuple[bytes, bytes]]


class Entrance:
    """Lets in what is unambiguous and meant for this service; answers everything else.

    Args:
        app: what is wrapped.
        settings: those of the HTTP process.
        is_open: whether there is no API key, so that everybody is served.
    """

    def __init__(self, app: ASGIApp, settings: ApiSettings, is_open: Callable[[], Awaitable[bool]]) -> None:
        self._app = app
        self._hosts = Hosts(settings)
        self._origins = frozenset(settings.cors_origins)
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            _check_counts(scope)
            _check_expectation(scope["headers"])
            _check_framing(scope["headers"])
            await self._check_site(scope)
        except DarkroomError as error:
            await error_response(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _check_site(self, scope: Scope) -> None:
        """Check that the request is meant for this service.

        Raises:
            InvalidHttp: the host is none.
            HostNotAllowed: it is another service's name, and there is no API key.
            OriginNotAllowed: a page of another site asks, and there is no API key.
            StoreUnavailable: nobody knows whether there is a key.
        """
        headers, path = dict(scope["headers"]), scope["path"]
        host = Authority.parse(headers[b"host"].decode("latin-1"))
        if host is None:
            message = "The header 'Host' is not the name or address of a host."
            raise InvalidHttp(message, param="Host")
        if path.startswith(_SIGNED):
            return  # its signature says that it may be read, wherever it is shown and by whatever name
        known = self._hosts.knows(host.host, scope["server"])
        foreign = _is_of_the_api(path) and self._is_of_another_site(headers, host)
        if (known and not foreign) or not await self._is_open():
            return
        if not known:
            raise HostNotAllowed(_unknown(host.host), param="Host")
        raise OriginNotAllowed(_FOREIGN, param="Origin")

    def _is_of_another_site(self, headers: dict[bytes, bytes], host: Authority) -> bool:
        """Whether a browser says that a page of another site asks."""
        given = headers.get(b"origin")
        if given is None:
            # A browser says none where the page will not see the answer. A link that is followed is fine.
            navigates = headers.get(b"sec-fetch-mode") == b"navigate"
            return headers.get(b"sec-fetch-site") in _ELSEWHERE and not navigates
        text = given.decode("latin-1")
        if text in self._origins or ANY in self._origins:
            return False
        origin = Origin.parse(text)
        return origin is None or not (origin.is_at(host) or self._hosts.allows(origin))


def _is_of_the_api(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


def _check_counts(scope: Scope) -> None:
    """Check that what must not come twice does not, and that there is a host.

    Raises:
        InvalidHttp: it is otherwise.
    """
    headers: Headers = scope["headers"]
    names = [name for name, _ in headers]
    if len(names) != len(set(names)):
        for name, count in Counter(names).items():
            if count > 1 and name in ONCE:
                message = f"The header '{ONCE[name]}' comes {count} times; it may come once."
                raise InvalidHttp(message, param=ONCE[name])
        if names.count(b"prefer") > 1:
            scope["headers"] = _with_one_prefer(headers)
    if b"host" not in names:
        message = "The header 'Host' is missing."
        raise InvalidHttp(message, param="Host")


def _with_one_prefer(headers: Headers) -> Headers:
    """Return the headers with all that is preferred in one of them. Source: RFC 7240, 2: it is a list."""
    preferred = b", ".join(value for name, value in headers if name == b"prefer")
    return [*((name, value) for name, value in headers if name != b"prefer"), (b"prefer", preferred)]


def _check_expectation(headers: Headers) -> None:
    """Check that nothing is expected but what the server does by itself.

    Raises:
        UnsupportedExpectation: something is.
    """
    if any(name == b"expect" and value.strip().lower() != b"100-continue" for name, value in headers):
        raise UnsupportedExpectation(param="Expect")


def _check_framing(headers: Headers) -> None:
    """Check that a body is framed in the one way that every reader understands.

    Raises:
        UnsupportedTransferEncoding: it is not.
    """
    if any(name == b"transfer-encoding" and value.strip().lower() != b"chunked" for name, value in headers):
        raise UnsupportedTransferEncoding(param="Transfer-Encoding")


_FOREIGN: Final = (
    "There is no API key here yet, so pages of other sites get no answer. Name this page's site in "
    "DARKROOM_API__CORS_ORIGINS if it may ask, or its host in DARKROOM_API__ALLOWED_HOSTS if it is this "
    "service's own; or make a key: darkroom keys create."
)


def _unknown(host: str) -> str:
    return (
        f"There is no API key here yet, so only names that are known are answered, and '{host}' is none. "
        "Name it in DARKROOM_API__ALLOWED_HOSTS if it is this service's, or make a key: darkroom keys create."
    )
