"""NAT and firewalls of routers: nftables in their network namespaces, set by the program nft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import AsyncNFCTSocket

from testbed.agent import nat_rules, nft
from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.agent.messages import NewNat, PacketFilter
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


async def rebind(wiring: Wiring, name: str, nat: NewNat) -> None:
    """Have the NAT of a node forget its mappings. It forwards nothing meanwhile, so that none of them comes back.

    Raises:
        MachineError, LabError: as `install`.
    """
    tables = [_table(number) for number in range(len(nat.outside))]
    _load(wiring, name, [line for table in tables for line in nat_rules.closing(table)])
    await _forget_connections(wiring, name)
    _load(wiring, name, [line for table in tables for line in nat_rules.opening(nat, table)])


def _table(number: int) -> str:
    """Return the name of the rules of a NAT for one of its networks outside, by its number."""
    return f"testbed_nat_{number}"


def _rules(wiring: Wiring, name: str, packet_filter: PacketFilter) -> list[str]:
    """Return the rules of a node, with empty sets.

    Raises:
        LabError: `port-gone`.
    """
    lines: list[str] = []
    if nat := packet_filter.nat:
        inside = [wiring.port(name, network).interface for network in nat.inside]
        for number, network in enumerate(nat.outside):
            port = wiring.port(name, network)
            lines += nat_rules.translation(nat, _table(number), inside, port.interface, port.address)
    if firewall := packet_filter.firewall:
        ports = [[wiring.port(name, one) for one in side] for side in (firewall.inside, firewall.outside)]
        inner, outer = ([port.interface for port in side] for side in ports)
        has_ipv6 = any(port.address6 for side in ports for port in side)
        forwards = nat.forward if nat else ()
        lines += nat_rules.protection(firewall, ("ip", _FIREWALL), inner, outer, forwards)
        if has_ipv6:  # what a NAT forwards is IPv4
            lines += nat_rules.protection(firewall, ("ip6", _FIREWALL), inner, outer)
    return lines


async def _forget_connections(wiring: Wiring, name: str) -> None:
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
