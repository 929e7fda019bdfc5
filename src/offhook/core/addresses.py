"""How far an address reaches, so that nobody from further out can send us to a place that only we can see.

    loopback < link < private < public          a name that is not resolved yet reaches as far as its kind says

What a far end names (in Contact, Refer-To, Replaces) may reach as far as that far end itself or further, never nearer:
a stranger of the public network names no machine of our own, nor the cloud's metadata service (RFC 1918, 3927, 4193,
6598, 6890).
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

_SHARED: Final = (ip_network("100.64.0.0/10"), ip_network("192.0.0.0/24"))
"""Carrier-grade NAT and protocol assignments (RFC 6598, 6890): the latter holds one cloud's metadata service."""

_METADATA: Final = frozenset(
    {IPv6Address("fd00:ec2::254"), IPv4Address("100.100.100.200"), IPv4Address("168.63.129.16")}
)
"""Metadata services that stand outside the link-local range."""

_NEAR: Final = (
    ".localhost",
    ".local",
    ".internal",
    ".intranet",
    ".lan",
    ".home.arpa",
    ".localdomain",
    ".corp",
    ".home",
)


class Reach(IntEnum):
    """How far away others can still reach a place."""

    LOOPBACK = 0
    LINK = 1
    PRIVATE = 2
    PUBLIC = 3


@lru_cache(maxsize=1024)
def reach(host: str) -> Reach:
    """Give how far `host` (an address without brackets, or a name) reaches.

    What a resolver might read as an address though it is not written as one (`2130706433`, `0x7f.1`) counts as
    loopback.
    """
    text = host.strip("[]").rstrip(".").partition("%")[0].lower()
    try:
        return _of(ip_address(text))
    except ValueError:
        pass
    if text in ("", "localhost") or text.endswith(".localhost"):
        return Reach.LOOPBACK
    last = text.rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):
        return Reach.LOOPBACK
    if "." not in text or text.endswith(_NEAR):
        return Reach.PRIVATE
    return Reach.PUBLIC


def _of(address: IPv4Address | IPv6Address) -> Reach:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _of(inner)
    if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_reserved:
        return Reach.LOOPBACK
    if address.is_link_local or address in _METADATA or address == IPv4Address("255.255.255.255"):
        return Reach.LINK
    if isinstance(address, IPv4Address) and any(address in network for network in _SHARED):
        return Reach.PRIVATE
    return Reach.PRIVATE if address.is_private and not _documented(address) else Reach.PUBLIC


_NAT64: Final = ip_network("64:ff9b::/96")
_DOCUMENTED: Final = tuple(
    [ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
)


def _documented(address: IPv4Address | IPv6Address) -> bool:
    # RFC 5737, 3849: examples, which stand for public ones.
    return any(address in network for network in _DOCUMENTED)
