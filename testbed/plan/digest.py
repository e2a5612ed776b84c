"""The digest of a plan, which differs exactly if plans decide different behaviour; see `testbed.decisive`."""

from __future__ import annotations

import hashlib
import json
from ipaddress import ip_network
from typing import TYPE_CHECKING

from testbed.impairments import Times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.families import Subnet

_PLACEHOLDER = "\0 times"
"""Stands for times, which go into the digest part by part; no text of a plan contains a NUL."""


def place(address: str, by_family: Mapping[int, Sequence[Subnet]], present: Sequence[Subnet] = ()) -> str | int:
    """An address, or in an allocated subnet its position there; of such a subnet the length of its prefix.

    Nothing of the addresses of a `present` network decides: a container that is made anew has another.

    Args:
        address: or a subnet.
        by_family: the allocated subnets.
        present: the subnets of networks that were there before the lab.
    """
    if not address:
        return address
    network = ip_network(address)
    if any(network.network_address in subnet for subnet in present):
        return ""
    allocated = by_family.get(network.version, ())
    if "/" in address:
        return network.prefixlen if network in allocated else address
    parsed = network.network_address
    for index, subnet in enumerate(allocated):
        if parsed in subnet:
            return f"{index}+{int(parsed) - int(subnet.network_address)}"
    return address


def digest(decisive: object) -> str:
    """Return the SHA-256 (hex) of all that decides what a plan does: runs with equal digests have the same task."""
    long: list[Times] = []

    def placeholder(value: object) -> str:
        if not isinstance(value, Times):
            raise TypeError(f"{value!r} can't be part of a digest")
        long.append(value)
        return _PLACEHOLDER

    found = hashlib.sha256()
    text, *rest = json.dumps(decisive, sort_keys=True, default=placeholder).split(json.dumps(_PLACEHOLDER))
    found.update(text.encode())
    for times, after in zip(long, rest, strict=True):
        for part in times.json_parts():
            found.update(part.encode())
        found.update(after.encode())
    return found.hexdigest()
