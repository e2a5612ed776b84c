"""Steers packets to links: by the rules of ports and lines, and by the neighbour entries of nodes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.agent import neighbours
from testbed.agent.access import AccessLines
from testbed.agent.carriers import refusals
from testbed.agent.known_macs import senders
from testbed.agent.port_rules import PortRules
from testbed.agent.rule_lists import RuleLists
from testbed.names import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from testbed.agent.carriers import LinkCarriers
    from testbed.agent.journal import Journal
    from testbed.agent.known_macs import Senders
    from testbed.agent.link import ImpairedLink
    from testbed.agent.ports import Port
    from testbed.agent.wiring import Wiring
    from testbed.matching import LinkKey


_Known = defaultdict[str, defaultdict[str, dict[str, str]]]
"""By node and its interface, the MACs of others by their addresses."""


@dataclass(slots=True)
class Steering:
    """What brings packets to the devices of links.

    Attributes:
        wiring: the nodes and ports of the lab.
        carriers: make devices, those that drop packets among them.
        links: all links of the lab, as they are now.
        journal: see `PortRules`.
        rules: of the ports.
        access: the lines.
    """

    wiring: Wiring
    carriers: LinkCarriers
    links: Mapping[LinkKey, ImpairedLink]
    journal: Journal | None
    rules: PortRules = field(init=False)
    access: AccessLines = field(init=False)
    _local: frozenset[str] = frozenset()
    _met: set[tuple[str, str]] = field(default_factory=set)
    """Nodes with uplinks or downlinks that all nodes of a network were told of, by names of both."""

    def __post_init__(self) -> None:
        self.rules = PortRules(self.wiring, self.journal)
        self.access = AccessLines(self.wiring, self.carriers.devices)

    def knows_machine(self) -> bool:
        """Whether the rules still tell `host` from `internet` by the addresses that the machine has now."""
        gateways = self.wiring.gateways
        return not gateways.by_network or gateways.local_addresses() == self._local

    def make_sinks(self, ports: Iterable[Port]) -> None:
        """Make the devices that drop packets on the sides of ports, unless they exist. Rules need them."""
        for side in {port.side for port in ports}:
            if side.number not in self.rules.sinks:
                self.rules.sinks[side.number] = self.carriers.make_sink(side)

    def set_rules(self, ports: Iterable[Port]) -> None:
        """Set the rules of ports, which send packets to the links that lead to them.

        A link without a device, which is still to be made, drops its packets: it must not be a perfect one meanwhile.
        """
        gateways = self.wiring.gateways
        self._local = gateways.local_addresses()
        devices = {
            key: self.rules.sinks.get(self.wiring.side(*key.place).number) if link.device is None else link.device
            for key, link in self.links.items()
        }
        lists = RuleLists(devices, gateways, self._local)
        sending: dict[str, Senders] = {}
        for port in ports:
            if port.node in BUILT_IN and not gateways[port.network].is_port:
                continue
            if port.network not in sending:
                sending[port.network] = senders(self.wiring.senders.get(port.network, {}))
            with refusals(port):
                self.rules.set(port, lists.of(port), sending[port.network])
                if port.place in self.wiring.lines:
                    self.access.set(port, *lists.of_line(port))

    def ports_present(self, networks: Collection[str]) -> list[Port]:
        """Return the ports of networks that are not gone."""
        ports = [port for place, port in self.wiring.ports.items() if place not in self.wiring.gone]
        return [port for port in ports if port.network in networks]

    def introduce(self, links: Iterable[ImpairedLink], *, anew: bool = True) -> None:
        """Make both ends of links permanent neighbours, or all nodes those of an uplink or downlink.

        No ARP of theirs then crosses the link, as none would cross the long line that it stands for: the first packet
        takes no longer than the others, and which packet is the n-th does not depend on when ARP asks again. On an open
        network the neighbour tables are not ours: ports let ARP pass there, and it is not impaired. Nor is ARP of the
        machine anywhere.

        Args:
            links: the links.
            anew: also what nodes with uplinks or downlinks were told of each other before: an interface may be another.
        """
        known: _Known = defaultdict(lambda: defaultdict(dict))
        distant, gone = self.wiring.distant, self.wiring.gone
        met: dict[tuple[str, str], None] = {}
        for link in links:
            key = link.key
            one, *_ = key.nodes
            if key.network in self.wiring.open_networks or key.is_outside or (one, key.network) in distant:
                continue  # the agent of a distant node does it, and `introduce_distant` the rest
            if key.is_access:
                met[one, key.network] = None
            elif not any((key.nodes[1], key.network) in away for away in (distant, gone)):
                ends = [self.wiring.port(node, key.network) for node in key.nodes]
                for here, there in (ends, ends[::-1]):
                    known[here.node][here.interface] |= dict.fromkeys(link.addresses[there.node], there.mac)
        self._introduce_all(met, known, anew=anew)
        for node, macs in known.items():
            with refusals(f"the neighbours of node {node}"):
                neighbours.set_permanent(self.wiring.node(node).network, macs)

    def _introduce_all(self, places: Iterable[tuple[str, str]], known: _Known, *, anew: bool) -> None:
        """Note what nodes with uplinks or downlinks, by names of node and network, and all others there are to know."""
        present: dict[str, list[Port]] = {}
        for name, network in places:
            here = self.wiring.port(name, network)
            if network not in present:
                present[network] = self.ports_present([network])
            for there in present[network]:
                if there.node != name and (anew or (there.node, network) not in self._met):
                    known[name][here.interface].update(dict.fromkeys(there.addresses, there.mac))
                    known[there.node][there.interface].update(dict.fromkeys(here.addresses, here.mac))
            if not anew:
                self._met.add((name, network))

    def introduce_distant(self, nodes: Iterable[str]) -> None:
        """Make nodes on other machines permanent neighbours of nodes here, on the networks that both are on.

        The driver of overlay networks answers ARP itself, on the sender's machine. So this changes nothing but the time
        of the first packet. On an open network the neighbour tables are not ours.
        """
        by_network: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for (_, network), (mac, addresses) in self.wiring.distant.items():
            if network not in self.wiring.open_networks:
                by_network[network] |= dict.fromkeys(addresses, mac)
        wanted = {*nodes}
        for port in self.ports_present(by_network) if by_network else ():
            if port.node in wanted:
                with refusals(f"the neighbours of node {port.node}"):
                    macs = {port.interface: by_network[port.network]}
                    neighbours.set_permanent(self.wiring.node(port.node).network, macs)
