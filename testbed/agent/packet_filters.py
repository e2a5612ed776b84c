"""NAT and firewalls of routers: nftables in their network namespaces, set by the program nft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.agent import nat_rules, nft, node_addresses
from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.agent.messages import NewNat, NewNatAddress, PacketFilter
    from testbed.agent.wiring import Wiring

_FIREWALL = "testbed_firewall"
_NEEDS = "a NAT needs the kernel's nf_tables with nat, ct, dynset, socket and objref"


def install(wiring: Wiring, name: str, packet_filter: PacketFilter) -> None:
    """Give a node its NAT and its firewall, in place of those that it has.

    Raises:
        MachineError: `no-nft`.
        LabError: `filter-refused`, the kernel lacks something; `port-gone`, `node-stopped`.
    """
    _load(wiring, name, _rules(wiring, name, packet_filter))


class Nats:
    """The NATs of a lab's nodes, whose mappings and addresses change in a run.

    Args:
        wiring: of the lab.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._nats: dict[str, NewNat] = {}
        self._moved: dict[tuple[str, str], str] = {}

    def know(self, filters: Mapping[str, PacketFilter | None]) -> None:
        """Note the NATs among what nodes were given, by their names."""
        self._nats |= {name: found.nat for name, found in filters.items() if found and found.nat}

    async def rebind(self, name: str) -> None:
        """Make the NAT of a node forget its mappings. It forwards nothing meanwhile, so that none of them comes back.

        Raises:
            MachineError, LabError: as `install`.
        """
        nat = self._nats[name]
        self._close(name, nat)
        try:
            await _forget_connections(self._wiring, name)
        finally:  # one that could not forget is as before, and not closed for good
            lines = [line for number in range(len(nat.outside)) for line in nat_rules.opening(nat, _table(number))]
            _load(self._wiring, name, lines)

    async def move(self, new: NewNatAddress) -> None:
        """Give the NAT of a node another address, and have it forget its mappings; nothing if it has that address.

        Raises:
            MachineError, LabError: as `install`; `address-refused`.
        """
        name, nat, port = new.node, self._nats[new.node], self._wiring.port(new.node, new.network)
        before = self._moved.get(port.place, port.address)
        if before == new.address:
            return
        self._close(name, nat)
        node, length = self._wiring.node(name), new.prefix_length
        try:
            node_addresses.change(node, port.interface, before=before, after=new.address, prefix_length=length)
            self._moved[port.place] = new.address
            await _forget_connections(self._wiring, name)
        finally:
            _load(self._wiring, name, _translations(self._wiring, name, nat, self._moved))

    def _close(self, name: str, nat: NewNat) -> None:
        tables = (_table(number) for number in range(len(nat.outside)))
        _load(self._wiring, name, [line for table in tables for line in nat_rules.closing(table)])


def _table(number: int) -> str:
    """Return the name of the rules of a NAT for one of its networks outside, by its number."""
    return f"testbed_nat_{number}"


def _rules(wiring: Wiring, name: str, packet_filter: PacketFilter) -> list[str]:
    """Return the rules of a node, with empty sets.

    Raises:
        LabError: `port-gone`.
    """
    nat = packet_filter.nat
    lines = _translations(wiring, name, nat, {}) if nat else []
    if firewall := packet_filter.firewall:
        ports = [[wiring.port(name, one) for one in side] for side in (firewall.inside, firewall.outside)]
        inner, outer = ([port.interface for port in side] for side in ports)
        has_ipv6 = any(port.address6 for side in ports for port in side)
        forwards = nat.forward if nat else ()
        lines += nat_rules.protection(firewall, ("ip", _FIREWALL), inner, outer, forwards)
        if has_ipv6:  # what a NAT forwards is IPv4
            lines += nat_rules.protection(firewall, ("ip6", _FIREWALL), inner, outer)
    return lines


def _translations(wiring: Wiring, name: str, nat: NewNat, moved: Mapping[tuple[str, str], str]) -> list[str]:
    """Return the rules of a NAT, with empty sets.

    Args:
        wiring: of the lab.
        name: of the node.
        nat: what it does.
        moved: addresses by node and network that are not the plan's.

    Raises:
        LabError: `port-gone`.
    """
    lines: list[str] = []
    inside = [wiring.port(name, network).interface for network in nat.inside]
    for number, network in enumerate(nat.outside):
        port = wiring.port(name, network)
        address = moved.get(port.place, port.address)
        lines += nat_rules.translation(nat, _table(number), inside, port.interface, address)
    return lines


async def _forget_connections(wiring: Wiring, name: str) -> None:
    # Imported late, for it takes an agent longer than all else that it imports, and few labs have a NAT that rebinds.
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415
    from pyroute2.netlink.nfnetlink.nfctsocket import AsyncNFCTSocket  # noqa: PLC0415

    try:
        with namespaces.inside(wiring.node(name).network):
            conntrack = AsyncNFCTSocket()
            conntrack.socket  # noqa: B018  # opens the socket now, while we are inside
        try:
            await conntrack.setup_endpoint()
            await conntrack.flush()
        finally:
            conntrack.close()
    except (NetlinkError, OSError) as error:
        raise LabError("filter-refused", f"node {name}: the kernel keeps its connections: {error}") from None


def _load(wiring: Wiring, name: str, lines: Sequence[str]) -> None:
    """Change the rules of a node, all of them or none."""
    whose = f"node {name} has a NAT or a firewall"
    nft.load(wiring.node(name).network, lines, whose, _NEEDS)
