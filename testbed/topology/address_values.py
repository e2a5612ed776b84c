"""The types of addresses, subnets and families of IP in a topology file: how each is read, and its JSON Schema."""

from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Any, Literal, TypeVar

from testbed.families import FAMILIES, IP, Address, Subnet
from testbed.topology.problems import quote
from testbed.topology.values import Reader, describe, fault, text_of

NEW: Literal["new"] = "new"
"""An address that the plan chooses."""

_OfFamily = TypeVar("_OfFamily", Address, Subnet)


def _subnet(value: object, *, is_wire: bool) -> Subnet:
    text = text_of(value, "a subnet")
    example = "write it like 198.18.7.0/24 or 2001:2:0:7::/64"
    try:
        subnet = ip_network(text)
    except ValueError as error:
        raise fault(f"is {quote(text)}, which is no subnet", f"{error}; {example}") from None
    if not _usable(subnet.network_address):
        raise fault(f"is {quote(text)}, which no node can have", example)
    shortest, longest = _PREFIXES[subnet.version, is_wire]
    if not shortest <= subnet.prefixlen <= longest:
        raise fault(f"is {quote(text)}, must have a prefix of {shortest} to {longest} bits", example)
    return subnet


_PREFIXES = {(4, False): (8, 29), (4, True): (8, 30), (6, False): (16, 120), (6, True): (16, 127)}
"""The shortest and the longest prefix, in bits, of subnets by their family; of networks and of wires."""


def _address(value: object) -> Address:
    text = text_of(value, "an address")
    example = "write it like 198.18.7.10 or 2001:2:0:7::10"
    try:
        address = ip_address(text)
    except ValueError:
        raise fault(f"is {quote(text)}, which is no address", example) from None
    if not _usable(address):
        raise fault(f"is {quote(text)}, which no node can have", example)
    return address


def _nat_address(value: object) -> IPv4Address | Literal["new"]:
    if value == NEW:
        return NEW
    address = _address(value)
    if not isinstance(address, IPv4Address):
        raise fault(f"is {address}, and NATs translate IPv4 only", "write it like 198.18.7.77, or: new")
    return address


def _usable(address: Address) -> bool:
    """Return whether an interface of a node can have the address beside those that the kernel gives it."""
    if isinstance(address, IPv6Address) and (address.is_link_local or address.ipv4_mapped):
        return False
    return not (address.is_multicast or address.is_loopback or address.is_reserved or address.packed[0] == 0)


def _one_per_family(read: Callable[[object], _OfFamily], what: str) -> Callable[[object], tuple[_OfFamily, ...]]:
    """Return a function that reads one value, or a list of one of each family."""

    def read_all(value: object) -> tuple[_OfFamily, ...]:
        found = [read(item) for item in value] if isinstance(value, list) else [read(value)]
        if not found or len({each.version for each in found}) < len(found):
            raise fault(f"is a list of {len(found)}, must be one {what}, or one of IPv4 and one of IPv6")
        return tuple(found)

    return read_all


def _families(value: object) -> tuple[int, ...]:
    text = text_of(value, "a family of IP")
    if text not in IP:
        raise fault(f"is {quote(text)}, must be 4, 6 or both")
    return IP[text]


def _family(value: object) -> int:
    if text_of(value, "a family of IP") not in {str(family) for family in FAMILIES}:
        raise fault(f"{describe(value)}, must be 4 or 6")
    return int(text_of(value))


def _one_or_two(*examples: str) -> dict[str, Any]:
    """Return the JSON Schema of a text, or of a list of at most two."""
    text = {"type": "string", "examples": list(examples)}
    return {"anyOf": [text, {"type": "array", "items": text, "minItems": 1, "maxItems": 2}]}


Family = Annotated[int, Reader(_family, {"enum": list(FAMILIES)})]
Families = Annotated[tuple[int, ...], Reader(_families, {"enum": [4, 6, "4", "6", "both"]})]
"""Families of IP."""
Subnets = Annotated[
    tuple[Subnet, ...],
    Reader(_one_per_family(partial(_subnet, is_wire=False), "subnet"), _one_or_two("198.18.7.0/24", "2001:2:0:7::/64")),
]
"""At most one subnet of each family, as `Addresses` of addresses."""
WireSubnets = Annotated[
    tuple[Subnet, ...],
    Reader(_one_per_family(partial(_subnet, is_wire=True), "subnet"), _one_or_two("198.18.7.0/30", "2001:2:0:7::/127")),
]
Addresses = Annotated[
    tuple[Address, ...], Reader(_one_per_family(_address, "address"), _one_or_two("198.18.7.10", "2001:2:0:7::10"))
]
NatAddress = Annotated[
    IPv4Address | Literal["new"], Reader(_nat_address, {"type": "string", "examples": [NEW, "198.18.7.77"]})
]
"""An address outside of a NAT, or one that the plan chooses."""
