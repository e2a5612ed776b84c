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
    from collections.abc import Callable

    from testbed.plan.model import Plan

_ROLE = "decides"

NOT_DECISIVE: Mapping[str, str] = MappingProxyType({_ROLE: "nothing"})
"""It is for people to read, it says what is recorded or expected, or it follows from another field."""

ADDRESS: Mapping[str, str] = MappingProxyType({_ROLE: "address"})
"""In an allocated subnet, only its position in there decides: the subnet may be another next time."""

SEED: Mapping[str, str] = MappingProxyType({_ROLE: "seed"})
"""It decides what is random. Runs of plans that differ in nothing else are repetitions."""

ADDED: Mapping[str, str] = MappingProxyType({_ROLE: "unless default"})
"""It came after the first release: with its default it is left out, so that plans without it keep their digests."""


def digest(plan: Plan) -> str:
    """SHA-256 (hex) of all that decides what a plan does: two runs with the same digest asked for the same thing."""
    return hashlib.sha256(json.dumps(decisive(plan), sort_keys=True).encode()).hexdigest()


def are_repetitions(one: Plan, other: Plan) -> bool:
    """Whether runs of the plans are repetitions of one another: the plans differ in nothing but seeds."""
    return decisive(one, seeds=False) == decisive(other, seeds=False)


def decisive(plan: Plan, *, seeds: bool = True) -> dict[str, Any]:
    """All of a plan that decides what it does, as JSON.

    Args:
        plan: any.
        seeds: with those.
    """
    allocated = [IPv4Network(network.subnet) for network in plan.networks if network.allocated]

    def place(address: str) -> str | int:
        """An address, or in an allocated subnet its position there; of such a subnet the length of its prefix."""
        if "/" in address:
            subnet = IPv4Network(address)
            return subnet.prefixlen if subnet in allocated else address
        for index, subnet in enumerate(allocated):
            if IPv4Address(address) in subnet:
                return f"{index}+{int(IPv4Address(address)) - int(subnet.network_address)}"
        return address

    found: dict[str, Any] = _decisive(plan, place, seeds=seeds)
    return found


def _decisive(value: Any, place: Callable[[str], str | int], *, seeds: bool) -> Any:  # noqa: ANN401  # part of a plan
    if isinstance(value, Shape):
        return codec.encode(value)
    if isinstance(value, tuple):
        return [_decisive(part, place, seeds=seeds) for part in value]
    if isinstance(value, Mapping):
        return {key: _decisive(part, place, seeds=seeds) for key, part in value.items()}
    if not is_dataclass(value):
        return value
    found = {}
    for one in fields(value):
        part = getattr(value, one.name)
        role = one.metadata.get(_ROLE)
        if role == "address":
            found[one.name] = place(part)
        elif role is None or (role == "seed" and seeds) or (role == "unless default" and part != one.default):
            found[one.name] = _decisive(part, place, seeds=seeds)
    return found
