"""The digest of a plan, which differs exactly if plans decide different behaviour; see `testbed.decisive`."""

from __future__ import annotations

import hashlib
import json
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def place(address: str, allocated: Sequence[IPv4Network], present: Sequence[IPv4Network] = ()) -> str | int:
    """An address, or in an allocated subnet its position there; of such a subnet the length of its prefix.

    Nothing of the addresses of a `present` network decides: a container that is made anew has another.
    """
    if not address:
        return address
    network = IPv4Network(address)
    if any(network.subnet_of(subnet) for subnet in present):
        return ""
    if "/" in address:
        return network.prefixlen if network in allocated else address
    parsed = network.network_address
    for index, subnet in enumerate(allocated):
        if parsed in subnet:
            return f"{index}+{int(parsed) - int(subnet.network_address)}"
    return address


def digest(decisive: object) -> str:
    """Return the SHA-256 (hex) of all that decides what a plan does: runs with equal digests have the same task."""
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
