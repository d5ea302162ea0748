"""Addresses at which a service is reached and from which it is asked, each in the one spelling that counts.

Every function raises ``ValueError`` with what is wrong, and without what it was given.
"""

import re
from ipaddress import ip_network
from typing import Final

ANY: Final = "*"

# No name of these is free for a prefix: what begins with it would be two addresses.
OWN_NAMES: Final = frozenset(
    (
        "v1",
        "files",
        "docs",
        "openapi.json",
        "playground",
        "static-offline-docs",
        "healthz",
        "readyz",
        "metrics",
    )
)
_HOST: Final = r"(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
_PATH: Final = r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*"
_BASE: Final = re.compile(rf"(?P<origin>(?P<scheme>https?)://{_HOST})(?P<path>{_PATH})")
_ORIGIN: Final = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://{_HOST}")
_PREFIX: Final = re.compile(_PATH)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_MOST_PORT: Final = 65535
_LONGEST: Final = 512


def prefix(text: str) -> str:
    """Return what stands before every path, as ``/darkroom``; empty where nothing does."""
    if len(text) > _LONGEST or not _PREFIX.fullmatch(text):
        message = (
            "it is empty or a path like /darkroom: a / first and none at the end, letters, digits and ._~-"
        )
        raise ValueError(message)
    if text and text.split("/")[1] in OWN_NAMES:
        message = "its first part is an address of this service itself"
        raise ValueError(message)
    return text


def base(text: str) -> str:
    """Return the address below which a service is reached, without a slash at its end; empty as it is."""
    parts = _BASE.fullmatch(_lowered(text.rstrip("/")))
    if not text:
        return text
    if len(text) > _LONGEST or parts is None or not _has_port(parts):
        message = (
            "it is an address like https://pictures.example/darkroom: http or https, a host, perhaps a port "
            "and a path; no login, nothing behind a ? or #"
        )
        raise ValueError(message)
    return _without_default_port(parts, parts["origin"]) + parts["path"]


def origin(text: str) -> str:
    """Return where a page may be from, as browsers say it: scheme, host and port; or ``*``."""
    parts = _ORIGIN.fullmatch(text.lower())
    if text == ANY:
        return text
    if len(text) > _LONGEST or parts is None or not _has_port(parts):
        message = "each is an origin like https://studio.example:8443, and nothing behind it, or all is one *"
        raise ValueError(message)
    return _without_default_port(parts, parts[0])


def network(text: str) -> str:
    """Return an address, or a network as ``10.0.0.0/8``."""
    try:
        found = ip_network(text.strip("[]"))
    except ValueError as error:
        message = "each is an IP address, or a network like 10.0.0.0/8 with nothing behind its mask"
        raise ValueError(message) from error
    return str(found) if "/" in text else str(found.network_address)


def _lowered(text: str) -> str:
    """Return an address with scheme and host in small letters; those of a path are as they are."""
    scheme, sign, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}{sign}{host.lower()}{slash}{path}"


def _has_port(parts: re.Match[str]) -> bool:
    return parts["port"] is None or 0 < int(parts["port"]) <= _MOST_PORT


def _without_default_port(parts: re.Match[str], address: str) -> str:
    default = _DEFAULT_PORTS.get(parts["scheme"])
    return address.removesuffix(f":{default}") if parts["port"] == default else address
