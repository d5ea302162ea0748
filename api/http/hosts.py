"""Which hosts are this service, as a request names them: what a page that rebinds a name cannot name.

A page of another site may point its own name at this machine, and its browser then takes this service for
that site's. What the browser cannot do is send another name than the page's in ``Host``.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Self

from shared.settings import ApiSettings

# A name, an IPv4 address, or an IPv6 address in brackets; and a port.
_AUTHORITY: Final = re.compile(r"([A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{0,5}))?")
_ORIGIN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,40})://(.{1,300})")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Authority:
    """A host and a port as a request names them; the port is empty where it names none."""

    host: str
    port: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the text; None where it is none. Case and a dot at the end do not matter."""
        found = _AUTHORITY.fullmatch(text)
        host = normalized(found[1]) if found else ""
        return cls(host, found[2] or "") if found and host else None

    def port_for(self, scheme: str) -> str:
        """Return the port, empty for the one that the scheme has anyway."""
        return "" if self.port == _DEFAULT_PORTS.get(scheme) else self.port


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a page is from, as its browser says."""

    scheme: str
    authority: Authority

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the header; None where it names no site, as ``null``."""
        found = _ORIGIN.fullmatch(text)
        authority = Authority.parse(found[2]) if found else None
        return cls(found[1].lower(), authority) if found and authority else None

    def is_at(self, host: Authority) -> bool:
        """Whether a request to this host goes to the site that the page is from."""
        ports = self.authority.port_for(self.scheme), host.port_for(self.scheme)
        return self.authority.host == host.host and ports[0] == ports[1]


class Hosts:
    """The hosts that are answered while there is no API key.

    Args:
        settings: those of the HTTP process.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._allowed = _Names(settings.allowed_hosts)
        known = (settings.host, settings.published_on)
        self._own = _Names(("localhost", ".localhost", *(name for name in known if not _is_wildcard(name))))
        self._listens_everywhere = _is_wildcard(settings.host)
        # Seen from inside of a container nobody knows the addresses outside; a name is what is rebound.
        self._published_everywhere = _is_wildcard(settings.published_on)

    def knows(self, host: str, server: tuple[str, int | None] | None) -> bool:
        """Whether a host is this service.

        Args:
            host: a normalized name or address.
            server: the connection's own end, as ASGI names it.
        """
        if host in self._own or host in self._allowed:
            return True
        address = _address(host)
        if address is None:
            return False
        if address.is_loopback or self._published_everywhere:
            return True
        return self._listens_everywhere and server is not None and address == _address(server[0])

    def allows(self, origin: Origin) -> bool:
        """Whether pages of this site may ask, wherever they ask."""
        return origin.authority.host in self._allowed


class _Names:
    """Names, some of which stand for all that are below them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        plain = {normalized(name.lstrip("*")) for name in names if name}
        above = {name for name in plain if name.startswith(".")}
        self._below = tuple(above)
        itself = {normalized(name[1:]) for name in names if name.startswith(".")}
        self._plain = frozenset(plain - above | itself)

    def __contains__(self, host: str) -> bool:
        return host in self._plain or host.endswith(self._below)


def normalized(host: str) -> str:
    """Return a name or address in the one spelling that is compared."""
    address = _address(host)
    return str(address) if address else host.lower().removesuffix(".")


def _address(host: str) -> Address | None:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    # A socket for both kinds shows an IPv4 address as one of IPv6.
    return getattr(address, "ipv4_mapped", None) or address


def _is_wildcard(host: str) -> bool:
    address = _address(host)
    return address is not None and address.is_unspecified
