"""Addresses of servers: what is wrong with one, and what of it may be shown.

Drivers read an address as far as they can, and what they make of a password with a ``/``, ``#`` or ``@`` in
it differs; their words about the rest then quote a part of it. So an address is understood here only where it
can be read in one way, and shown only where it is understood. Nothing here repeats what it was given.
"""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

HIDDEN: Final = "…"
_MOST_PORT: Final = 65535
# In front of the @: printable ASCII, but none of the characters that end this part or stand in for others.
# kombu takes what is behind a ; for another address.
_LOGIN: Final = r"(?:[!\"$&'()*+,\-.0-9:<=>A-Z^_`a-z{|}~]|%[0-9A-Fa-f]{2})*"
_ADDRESS: Final = re.compile(
    rf"""(?P<scheme>[a-z][a-z+]*)://
    (?:(?P<login>{_LOGIN})@)?
    (?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])
    (?::(?P<port>[^/?\#@\[\]\s]*))?
    (?P<path>/[!-"$-:<->A-Z\[-~]*)?
    (?:\?(?P<query>[!-"$-:<-?A-~]*))?""",
    re.VERBOSE | re.ASCII,
)
_SOCKET: Final = re.compile(
    rf"unix://(?:(?P<login>{_LOGIN})@)?(?P<path>/[^@?#;\s%]*)(?:\?(?P<query>[^@#;\s]*))?", re.ASCII
)
_DATABASE: Final = re.compile(r"/{0,2}\d*/?", re.ASCII)
_OF_REDIS: Final = frozenset(("redis", "rediss"))
_SECRET: Final = frozenset(("username", "password"))

_FORM: Final = "it is no redis:// or rediss:// URL"
_AS_XX: Final = (
    "what is special in a password is written as %XX: "
    "% as %25, @ as %40, / as %2F, : as %3A, ; as %3B, ? as %3F, # as %23, [ as %5B, ] as %5D"
)
_PORT: Final = f"its port is no number from 1 to {_MOST_PORT}"


def public_address(url: str) -> str:
    """Return an address as it may be shown: without user, password and options.

    One that cannot be read in one way is shown as its scheme and an ellipsis.
    """
    local = _SOCKET.fullmatch(url)
    if local:
        return f"unix://{local['path']}"
    parts = _ADDRESS.fullmatch(url)
    if parts and _port_is_right(parts) and _path_is_right(parts):
        port = f":{parts['port']}" if parts["port"] else ""
        return f"{parts['scheme']}://{parts['host']}{port}{parts['path'] or ''}"
    scheme = re.match(r"(https?|rediss?|unix)://", url)
    return f"{scheme[0]}{HIDDEN}" if scheme else HIDDEN


def wrong_with_redis(url: str) -> str | None:
    """Return what is wrong with an address of Redis, without a word of it; None where it is right."""
    if _SOCKET.fullmatch(url):
        return None
    parts = _ADDRESS.fullmatch(url)
    if parts is None or parts["scheme"] not in _OF_REDIS or not _drivers_can_read(url):
        return f"{_FORM} that can be read in one way only; {_AS_XX}"
    return _wrong_in(parts)


def _wrong_in(parts: re.Match[str]) -> str | None:
    if not _port_is_right(parts):
        return f"{_FORM}: {_PORT}; {_AS_XX}"
    if not _path_is_right(parts):
        return f"{_FORM}: behind the host and a / stands the number of a database"
    if parts["login"] and ":" not in parts["login"]:
        return f"{_FORM}: a password stands behind a colon, as in redis://:password@host:6379/0"
    if _SECRET & {name for name, _ in parse_qsl(parts["query"] or "")}:
        return (
            f"{_FORM}: user and password stand in front of the host, as in redis://user:password@host:6379/0"
        )
    return None


def without_arguments(said: str) -> str:
    """Return what a server said without what it repeats of a command that it does not know."""
    return re.sub(r"(, with args beginning with:).*", rf"\1 {HIDDEN}", said)


def holds_login(url: str) -> bool:
    """Whether there may be a user or a password in an address; whatever has an @ may have one."""
    return "@" in url


def _drivers_can_read(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _path_is_right(parts: re.Match[str]) -> bool:
    return parts["scheme"] not in _OF_REDIS or _DATABASE.fullmatch(parts["path"] or "") is not None


def _port_is_right(parts: re.Match[str]) -> bool:
    port = parts["port"]
    return port is None or (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= _MOST_PORT)
