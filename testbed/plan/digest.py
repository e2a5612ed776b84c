"""What decides what a plan does. The fields of the plan's types say it, as metadata; nothing else does.

A field decides unless it says otherwise, so that a new one is never forgotten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from testbed import codec
from testbed.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROLE = "decides"

NOT_DECISIVE: Mapping[str, str] = MappingProxyType({_ROLE: "nothing"})
"""It is for people to read, it says what is recorded or expected, or it follows from another field."""

ADDRESS: Mapping[str, str] = MappingProxyType({_ROLE: "address"})
"""In an allocated subnet, only its position in there decides: the subnet may be another next time."""

SEED: Mapping[str, str] = MappingProxyType({_ROLE: "seed"})
"""It decides what is random. Runs of plans that differ in nothing else are repetitions."""

ADDED: Mapping[str, str] = MappingProxyType({_ROLE: "unless default"})
"""It came after the first release: with its default it is left out, so that plans without it keep their digests."""


def decisive(value: Any, allocated: Sequence[IPv4Network], *, seeds: bool = True) -> Any:  # noqa: ANN401  # any part
    """All of a plan, or of a part of one, that decides what it does, as JSON.

    Args:
        value: the plan or the part.
        allocated: the subnets that the plan chose itself.
        seeds: with those.
    """
    if isinstance(value, Shape):
        return codec.encode(value)
    if isinstance(value, tuple):
        return [decisive(part, allocated, seeds=seeds) for part in value]
    if isinstance(value, Mapping):
        return {key: decisive(part, allocated, seeds=seeds) for key, part in value.items()}
    if not is_dataclass(value):
        return value
    found = {}
    for one in fields(value):
        part = getattr(value, one.name)
        role = one.metadata.get(_ROLE)
        if role == "address":
            found[one.name] = _place(part, allocated)
        elif role is None or (role == "seed" and seeds) or (role == "unless default" and part != one.default):
            found[one.name] = decisive(part, allocated, seeds=seeds)
    return found


def _place(address: str, allocated: Sequence[IPv4Network]) -> str | int:
    """An address, or in an allocated subnet its position there; of such a subnet the length of its prefix."""
    if "/" in address:
        subnet = IPv4Network(address)
        return subnet.prefixlen if subnet in allocated else address
    for index, subnet in enumerate(allocated):
        if IPv4Address(address) in subnet:
            return f"{index}+{int(IPv4Address(address)) - int(subnet.network_address)}"
    return address


def digest(decisive: object) -> str:
    """SHA-256 (hex) of what decides what a plan does: two runs with the same digest asked for the same thing."""
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
