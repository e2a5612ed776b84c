"""Subnets for networks and addresses for nodes."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import TYPE_CHECKING

from testbed.errors import MachineError
from testbed.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator

POOL = IPv4Network("198.18.0.0/15")
"""Set aside for benchmarking (RFC 2544, appendix C.2.2): routed nowhere, and no Docker default pool is in it."""

PREFIX = 24
"""Bits of the network part of an allocated subnet, where its nodes fit."""

Hosts = Mapping[str, Mapping[str, IPv4Address]]
"""Addresses by network and node."""

NOT_FOR_NODES = 3
"""Addresses of a subnet that no node has: the subnet's own, the gateway's, the broadcast address."""

WIRE_PREFIX = 30
"""Bits of the network part of a wire's subnet, which has room for two nodes and no gateway."""


def subnets(
    wanted: Mapping[str, tuple[IPv4Network | None, int]],
    *,
    lab: str,
    taken: Collection[IPv4Network],
    wires: Container[str] = (),
) -> dict[str, IPv4Network]:
    """Choose a subnet for every network.

    Args:
        wanted: by network, the subnet that the file gives or None, and how many nodes there are.
        lab: two labs start looking at different places, so that they seldom want the same.
        taken: what is in use on this machine.
        wires: the networks that are wires.

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
    free = _Free(lab, [*taken, *given.values()])
    chosen: dict[str, IPv4Network] = {}
    for name, (_, nodes) in wanted.items():
        prefix = WIRE_PREFIX if name in wires else min(PREFIX, 32 - (nodes + NOT_FOR_NODES - 1).bit_length())
        if prefix < POOL.prefixlen:
            raise MachineError("no-free-subnet", f"{nodes} nodes do not fit into {POOL}", "spread them over networks")
        chosen[name] = given.get(name) or free.take(prefix)
    return chosen


def beyond(*, lab: str, taken: Iterable[IPv4Network]) -> IPv4Address:
    """Choose the address that stands for what is beyond this machine: it is nobody's.

    Args:
        lab: see `subnets`.
        taken: what is in use on this machine, or by the lab.

    Raises:
        MachineError: `no-free-subnet`.
    """
    return _Free(lab, taken).take(32).network_address


class _Free:
    """The free part of the pool."""

    def __init__(self, lab: str, used: Iterable[IPv4Network]) -> None:
        self._lab = lab
        self._used = [(int(subnet[0]), int(subnet[-1])) for subnet in collapse_addresses(used)]

    def take(self, prefix: int) -> IPv4Network:
        """Take the first free subnet; the search starts at the lab's place in the pool and wraps."""
        size, slots = 1 << (32 - prefix), 1 << (prefix - POOL.prefixlen)
        start = derive(0, f"subnet {self._lab}") % slots
        for first, end in ((start, slots), (0, start)):
            slot = first
            while slot < end:
                low = int(POOL.network_address) + slot * size
                blocking = self._last_within(low, low + size - 1)
                if blocking is None:
                    insort(self._used, (low, low + size - 1))
                    return IPv4Network((low, prefix))
                slot = max(slot + 1, (blocking - int(POOL.network_address)) // size + 1)
        raise MachineError("no-free-subnet", f"no /{prefix} of {POOL} is free", "take other labs down")

    def _last_within(self, low: int, high: int) -> int | None:
        """Return the last address of what is in use somewhere between two addresses; None if nothing is."""
        place = bisect_right(self._used, (high, 1 << 32))
        if place and self._used[place - 1][1] >= low:
            return self._used[place - 1][1]
        return None


def hosts(
    subnet: IPv4Network,
    nodes: Iterable[str],
    given: Mapping[str, IPv4Address],
    used: Collection[IPv4Address] = (),
    *,
    wire: bool = False,
) -> dict[str, IPv4Address]:
    """Return an address for every node on a network: the one given, else the next unused one.

    They start at .2, because the gateway has .1; on a wire, which has none, at .1.

    Args:
        subnet: of the network.
        nodes: to have an address.
        given: the addresses of some.
        used: addresses of others, which are not nodes.
        wire: the network is a wire.
    """
    free = _unused(subnet, {*given.values(), *used}, 1 if wire else 2)
    return {node: given[node] if node in given else next(free) for node in nodes}


def _unused(subnet: IPv4Network, used: set[IPv4Address], first: int) -> Iterator[IPv4Address]:
    for number in range(int(subnet[first]), int(subnet[-1])):
        if IPv4Address(number) not in used:
            yield IPv4Address(number)


def mac(address: IPv4Address) -> str:
    """Return the MAC address that Docker derives from an IPv4 address: locally administered, then its four bytes."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + address.packed)
