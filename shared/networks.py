"""Which addresses lead inside: to this machine, to its network, to what only its provider may ask.

A caller names the address that is sent to. Whatever is not an ordinary address of the internet leads inside.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by the customers of one provider; some have their metadata there
            "127.0.0.0/8",
            "168.63.129.16/32",  # public by its number, and what a virtual machine of Azure is controlled by
            "169.254.0.0/16",  # link-local: most providers' metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and the broadcast
        ),
    )
)
_V6_OF_THE_INTERNET: Final = IPv6Network("2000::/3")
_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols, Teredo among them
            "2001:db8::/32",
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)
# What stands for an address of version 4, and where in it that stands, as bits from the right.
_MAPPED: Final = ((IPv6Network("::ffff:0:0/96"), 0), (IPv6Network("64:ff9b::/96"), 0))
_SIX_TO_FOUR: Final = (IPv6Network("2002::/16"), 80)


def leads_inside(address: str) -> bool:
    """Whether an address is none of the internet's. What is no address leads inside too.

    Args:
        address: in numbers; behind a ``%`` may stand a zone.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return True
    return _inside_v4(parsed) if isinstance(parsed, IPv4Address) else _inside_v6(parsed)


def _inside_v4(address: IPv4Address) -> bool:
    return any(address in network for network in _V4) or not address.is_global


def _inside_v6(address: IPv6Address) -> bool:
    for network, shift in (*_MAPPED, _SIX_TO_FOUR):
        if address in network:
            return _inside_v4(IPv4Address(int(address) >> shift & 0xFFFF_FFFF))
    of_the_internet = address in _V6_OF_THE_INTERNET and address.is_global
    return not of_the_internet or any(address in network for network in _V6)
