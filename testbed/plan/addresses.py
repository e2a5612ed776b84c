"""Subnets for networks and addresses for nodes."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, collapse_addresses, ip_network
from typing import TYPE_CHECKING, NamedTuple

from testbed.errors import MachineError
from testbed.families import IPV4, IPV6, POOLS, Address, Subnet
from testbed.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

PREFIXES = {IPV4: 24, IPV6: 64}
"""Bits of the network part of an allocated subnet, where its nodes fit, by family."""

Hosts = Mapping[str, Mapping[str, Address]]
"""Addresses of a family by network and node."""

NOT_FOR_NODES = 3
"""Addresses of a subnet that no node has: the subnet's own, the gateway's, the broadcast address."""

WIRE_PREFIXES = {IPV4: 30, IPV6: 127}
"""Bits of the network part of a wire's subnet, which has room for two nodes and no gateway, by family (RFC 6164)."""


class Placed(NamedTuple):
    """The subnets and addresses of a family.

    Attributes:
        subnets: by network, of those that have the family.
        hosts: the addresses of nodes.
        allocated: the networks whose subnets were chosen here.
    """

    subnets: Mapping[str, Subnet]
    hosts: Hosts
    allocated: Collection[str]


def subnets(
    family: int,
    wanted: Mapping[str, tuple[Subnet | None, int]],
    *,
    lab: str,
    taken: Collection[Subnet],
    wires: Container[str] = (),
) -> dict[str, Subnet]:
    """Choose a subnet of a family for every network.

    Args:
        family: 4 or 6.
        wanted: by network, the subnet that the file gives or None, and how many nodes there are.
        lab: two labs start looking at different places, so that they seldom want the same.
        taken: what is in use on this machine.
        wires: the networks that are wires.

    Raises:
        MachineError: `subnet-taken`, a subnet given is in use; `no-free-subnet`.
    """
    pool, taken = POOLS[family], [subnet for subnet in taken if subnet.version == family]
    given = {name: subnet for name, (subnet, _) in wanted.items() if subnet is not None}
    for name, subnet in given.items():
        for other in taken:
            if subnet.overlaps(other):
                message = f"network {name}: {subnet} is in use on this machine (it overlaps {other})"
                hint = (
                    "give another subnet, or none to have a free one chosen; labs of --runtime netns may share subnets"
                )
                raise MachineError("subnet-taken", message, hint)
    free = _Free(lab, pool, [*taken, *given.values()])
    chosen: dict[str, Subnet] = {}
    for name, (_, nodes) in wanted.items():
        fitting = pool.max_prefixlen - (nodes + NOT_FOR_NODES - 1).bit_length()
        prefix = WIRE_PREFIXES[family] if name in wires else min(PREFIXES[family], fitting)
        if prefix < pool.prefixlen:
            raise MachineError("no-free-subnet", f"{nodes} nodes do not fit into {pool}", "spread them over networks")
        chosen[name] = given.get(name) or free.take(prefix)
    return chosen


def beyond(*, lab: str, taken: Iterable[Subnet]) -> Address:
    """Choose the IPv4 address that stands for other machines: one that no node has.

    Args:
        lab: see `subnets`.
        taken: what is in use on this machine, or by the lab.

    Raises:
        MachineError: `no-free-subnet`.
    """
    return _Free(lab, POOLS[IPV4], [subnet for subnet in taken if subnet.version == IPV4]).take(32).network_address


class _Free:
    """The free part of a pool."""

    def __init__(self, lab: str, pool: Subnet, used: Iterable[Subnet]) -> None:
        self._lab = lab
        self._pool = pool
        collapsed = collapse_addresses(used)  # type: ignore[type-var]  # all are of the pool's family
        self._used = [(int(subnet[0]), int(subnet[-1])) for subnet in collapsed]

    def take(self, prefix: int) -> Subnet:
        """Take the first free subnet; the search starts at the lab's place in the pool and wraps."""
        pool, first_of_pool = self._pool, int(self._pool.network_address)
        size, slots = 1 << (pool.max_prefixlen - prefix), 1 << (prefix - pool.prefixlen)
        start = self._start(prefix, slots)
        for first, end in ((start, slots), (0, start)):
            slot = first
            while slot < end:
                low = first_of_pool + slot * size
                blocking = self._last_within(low, low + size - 1)
                if blocking is None:
                    insort(self._used, (low, low + size - 1))
                    return ip_network((low, prefix))
                slot = max(slot + 1, (blocking - first_of_pool) // size + 1)
        raise MachineError("no-free-subnet", f"no /{prefix} of {pool} is free", "take other labs down")

    def _start(self, prefix: int, slots: int) -> int:
        """Return the lab's place for subnets of a length; those of wires over IPv6 begin at its place for networks."""
        longer = max(prefix - PREFIXES[IPV6], 0)
        return derive(0, f"subnet {self._lab}") % (slots >> longer) << longer

    def _last_within(self, low: int, high: int) -> int | None:
        """Return the last address of what is in use somewhere between two addresses; None if nothing is."""
        place = bisect_right(self._used, (high, 1 << 128))
        if place and self._used[place - 1][1] >= low:
            return self._used[place - 1][1]
        return None


def hosts(
    subnet: Subnet,
    nodes: Iterable[str],
    given: Mapping[str, Address],
    used: Collection[Address] = (),
    *,
    wire: bool = False,
) -> dict[str, Address]:
    """Return an address for every node on a network: the one given, else the next unused one.

    They start at .2, because the gateway has .1; on a wire, which has none, at .1, and over IPv6 at ::0 (RFC 6164).

    Args:
        subnet: of the network.
        nodes: to have an address.
        given: the addresses of some.
        used: addresses of others, which are not nodes.
        wire: the network is a wire.
    """
    first = 2 if not wire else 1 if subnet.version == IPV4 else 0
    free = _unused(subnet, {*given.values(), *used}, first)
    return {node: given[node] if node in given else next(free) for node in nodes}


def _unused(subnet: Subnet, used: set[Address], first: int) -> Iterator[Address]:
    """Yield the addresses from a number on; the last one of IPv4 is the broadcast address."""
    last = subnet.num_addresses - (1 if subnet.version == IPV4 else 0)
    for number in range(first, last):
        if subnet[number] not in used:
            yield subnet[number]


def mac(address: Address) -> str:
    """Return a MAC address, locally administered, for a node by its address on a network.

    That of an IPv4 address is as Docker derives it: 02:42 and its four bytes. That of an IPv6 address, of a node that
    has no IPv4 there, is drawn from it.
    """
    octets = address.packed if isinstance(address, IPv4Address) else derive(0, f"mac {address}").to_bytes(8)[:4]
    return ":".join(f"{byte:02x}" for byte in (b"\x02\x42" if address.version == IPV4 else b"\x02\x46") + octets)
