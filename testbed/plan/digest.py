"""What tells plans apart that ask for different things, and only those."""

from __future__ import annotations

import hashlib
import json
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_IDLE = ("lab", "description", "runtime", "seed_given", "expectations", "sockets", "capture")
"""What changes nothing of what is done."""


def digest(data: dict[str, Any], allocated: Sequence[IPv4Network]) -> str:
    """SHA-256 (hex) of all that decides what a plan does.

    Two runs with the same digest asked for the same thing. The lab's name, the description, the runtime, whether the
    seed was given, what is expected, sampled or captured, and the names of profiles and of events are left out, and of
    an allocated subnet only the position of each address in it counts.

    Args:
        data: the plan as a JSON object of the caller's own; it is used up.
        allocated: the subnets that the plan chose.
    """
    for name in _IDLE:
        del data[name]
    for link in data["links"]:
        del link["profile"]
    for event in data["timeline"]:
        del event["what"]
    if not data["timeline"]:  # as before there were any
        del data["timeline"]
    return hashlib.sha256(json.dumps(_relative(data, allocated), sort_keys=True).encode()).hexdigest()


def _relative(data: dict[str, Any], allocated: Sequence[IPv4Network]) -> dict[str, Any]:
    """A plan's `data` with every address in an allocated subnet replaced by its position there."""

    def position(address: str) -> str:
        for index, subnet in enumerate(allocated):
            if IPv4Address(address) in subnet:
                return f"{index}+{int(IPv4Address(address)) - int(subnet.network_address)}"
        return address

    for network in data["networks"]:
        network["gateway"] = position(network["gateway"])
        if network["allocated"]:
            network["subnet"] = IPv4Network(network["subnet"]).prefixlen
    for node in data["nodes"]:
        for interface in node["interfaces"]:
            interface["address"] = position(interface["address"])
            del interface["mac"]  # follows from the address
    for stage in data["stages"]:
        for workload in stage:
            workload["address"] = position(workload["address"])
    return data
