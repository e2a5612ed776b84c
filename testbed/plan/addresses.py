"""Subnets for networks and addresses for nodes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from testbed.errors import MachineError
from testbed.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

POOL = IPv4Network("198.18.0.0/15")
"""Set aside for benchmarking (RFC 2544, appendix C.2.2): routed nowhere, and no Docker default pool is in it."""

PREFIX = 24
"""Bits of the network part of an allocated subnet, where its nodes fit."""

NOT_FOR_NODES = 3
"""Addresses of a subnet that no node has: the subnet's own, the gateway's, the broadcast address."""


def subnets(
    wanted: Mapping[str, tuple[IPv4Network | None, int]], *, lab: str, taken: Collection[IPv4Network]
) -> dict[str, IPv4Network]:
    """Choose a subnet for every network.

    Args:
        wanted: by network, the subnet that the file gives or None, and how many nodes there are.
        lab: two labs start looking at different places, so that they seldom want the same.
        taken: what is in use on this machine.

    Raises:
        MachineError: `subnet-taken`, a subnet given is in use; `no-free-subnet`.
    """
    given = {name: subnet for name, (subnet, _) in wanted.items() if subnet is not None}
    for name, subnet in given.items():
        for other in taken:
            if subnet.overlaps(other):
                message = f"network {name}: {subnet} is in use on this machine (it overlaps {other})"
                hint = (
                    "give another subnet, or none to have a free one chosen; labs of --runtime netns may share subnets"
                )
                raise MachineError("subnet-taken", message, hint)
    chosen: dict[str, IPv4Network] = {}
    for name, (_, nodes) in wanted.items():
        used = [*taken, *given.values(), *chosen.values()]
        chosen[name] = given.get(name) or _free(lab, nodes, used)
    return chosen


def _free(lab: str, nodes: int, used: list[IPv4Network]) -> IPv4Network:
    """Return the first free subnet for `nodes` nodes; the search starts at the lab's place in the pool and wraps."""
    prefix = min(PREFIX, 32 - (nodes + NOT_FOR_NODES - 1).bit_length())
    if prefix < POOL.prefixlen:
        raise MachineError("no-free-subnet", f"{nodes} nodes do not fit into {POOL}", "spread them over networks")
    size, slots = 1 << (32 - prefix), 1 << (prefix - POOL.prefixlen)
    start = derive(0, f"subnet {lab}") % slots
    for slot in range(start, start + slots):
        subnet = IPv4Network((int(POOL.network_address) + slot % slots * size, prefix))
        if not any(subnet.overlaps(other) for other in used):
            return subnet
    raise MachineError("no-free-subnet", f"no /{prefix} of {POOL} is free", "take other labs down")


def hosts(
    subnet: IPv4Network,
    nodes: Iterable[str],
    given: Mapping[str, IPv4Address],
    used: Collection[IPv4Address] = (),
) -> dict[str, IPv4Address]:
    """Return an address for every node on a network: the one given, else the next unused one, from .2 on.

    Args:
        subnet: of the network.
        nodes: to have an address.
        given: the addresses of some.
        used: addresses of others, which are not nodes.
    """
    free = _unused(subnet, {*given.values(), *used})
    return {node: given[node] if node in given else next(free) for node in nodes}


def _unused(subnet: IPv4Network, used: set[IPv4Address]) -> Iterator[IPv4Address]:
    for number in range(int(subnet[2]), int(subnet[-1])):
        if IPv4Address(number) not in used:
            yield IPv4Address(number)


def mac(address: IPv4Address) -> str:
    """Return the MAC address that Docker derives from an IPv4 address: locally administered, then its four bytes."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + address.packed)
