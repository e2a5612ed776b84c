"""The two families of IP, by their version numbers 4 and 6: their types, and the addresses that labs have."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network

POOL = IPv4Network("198.18.0.0/15")
"""Set aside for benchmarking (RFC 2544, appendix C.2.2): routed nowhere, and no Docker default pool is in it."""

POOL6 = IPv6Network("2001:2::/48")
"""Set aside for benchmarking (RFC 5180, section 8)."""

IPV4, IPV6 = 4, 6

FAMILIES = (IPV4, IPV6)

POOLS: Mapping[int, Subnet] = MappingProxyType({4: POOL, 6: POOL6})

IP: Mapping[str, tuple[int, ...]] = MappingProxyType({"4": (4,), "6": (6,), "both": (4, 6)})
"""The values of `ip:` in a topology file, with the families that they stand for."""


def label(family: int) -> str:
    """Return the name of a family, `IPv4` or `IPv6`."""
    return f"IPv{family}"


def family_of(address: str) -> int:
    """Return the family of an address.

    Raises:
        ValueError: it is no address.
    """
    return ip_address(address).version


def is_address(text: str) -> bool:
    """Whether a text is an address of either family."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
