"""What the agent gives nodes of a container runtime: ends of wires, routes, MTUs, ways past the machine's firewall.

A container that starts again has none of it; the agent then gives it all of that anew.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.agent import bypass, device_requests, ipv6, packet_filters, routes, switch
from testbed.agent.creation import configure
from testbed.agent.incidents import FAILURES
from testbed.agent.nodes import is_being_set_up
from testbed.agent.ports import Port
from testbed.errors import LabError, MachineError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from testbed.agent.link_devices import LinkDevices
    from testbed.agent.messages import NewNetwork, PresentNode
    from testbed.agent.nodes import NodeNamespaces
    from testbed.agent.switch import NetworkDevice
    from testbed.agent.wiring import Wiring


@dataclass(slots=True)
class Wires:
    """The wires of a lab, and the routes of its nodes, as they were requested.

    Attributes:
        wiring: the nodes and ports of the lab.
        devices: makes devices.
        when_removed: is called with each port that is removed because its node's container has ended. As long as the
            agent knows the node, its namespace lives on, and would forward packets.
    """

    wiring: Wiring
    devices: LinkDevices
    when_removed: Callable[[Port], None] = field(default=lambda _: None)
    _nodes: dict[str, PresentNode] = field(default_factory=dict)
    _bridges: dict[str, tuple[NetworkDevice, int]] = field(default_factory=dict)
    _tunnels: dict[str, int] = field(default_factory=dict)
    """By wire to another machine, the index of the device that leads there."""
    _made_for: dict[str, NodeNamespaces] = field(default_factory=dict)
    _unrouted: dict[str, str] = field(default_factory=dict)
    """By node whose routes are to be given anew, why it has not got them yet."""

    async def make(self, wires: Sequence[NewNetwork], nodes: Sequence[PresentNode]) -> None:
        """Connect nodes by wires, which are made where they are not there yet, and give the nodes their routes.

        Raises:
            MachineError: `tunnel-in-use`.
            LabError: `wiring-failed`, `route-refused`.
        """
        self._nodes |= {node.name: node for node in nodes}
        try:
            for wire in wires:
                if wire.name not in self._bridges:
                    self._make_wire(wire)
            for node in nodes:
                self.devices.switch_on(await self.connect(node.name))
            for network in self.wiring.bridges.values():
                self.let_pass(network)
        except OSError as error:
            raise LabError("wiring-failed", f"the kernel refused a device of a wire: {error.strerror}") from None
        self._keep_machine_out()
        for node in nodes:
            self.give_addresses(node.name)
            self.route(node.name)

    def _make_wire(self, wire: NewNetwork) -> None:
        bridge = self.devices.make_bridge(f"wire {wire.name}", wire.mtu)
        self._bridges[wire.name] = bridge, wire.mtu
        if wire.tunnel:
            try:
                tunnel = self.devices.make_tunnel(f"tunnel of {wire.name}", wire.mtu, wire.tunnel, bridge.index)
            except FileExistsError:
                said = f"wire {wire.name}: another VXLAN of this machine has the number {wire.tunnel.number}"
                hint = "ip -details link show type vxlan lists them; a lab of another name has other numbers"
                raise MachineError("tunnel-in-use", said, hint) from None
            self._tunnels[wire.name] = tunnel.index

    def _keep_machine_out(self) -> None:
        """Switch IPv6 off at the bridges of the lab's own networks with IPv6, whose nodes would reach the machine.

        Without it, it has a link-local address there, and takes in packets to all its other ones.

        Raises:
            LabError: `ipv6-refused`.
        """
        with_ipv6 = {each.network for node in self._nodes.values() for each in node.interfaces if each.address6}
        own = with_ipv6 - self.wiring.open_networks - self._bridges.keys()
        bridges = {(port.side, port.bridge) for port in self.wiring.ports.values() if port.network in own}
        for side, index in bridges:
            if index:
                (bridge,) = switch.devices(side.route, index)
                with namespaces.inside(side.fd):
                    ipv6.disable(bridge.name)

    async def connect(self, name: str) -> list[NetworkDevice]:
        """Make the ends of all wires of a node; return their ports, which are down.

        Raises:
            LabError: `node-stopped`; the kernel refuses an address.
            OSError: the kernel refuses a device.
        """
        wanted = self._nodes[name].wires
        node = self.wiring.node(name)
        made = []
        for interface in wanted:
            bridge, mtu = self._bridges[interface.network]
            inner = interface.name, interface.mac, node.network
            device = self.devices.make_port(f"{name} on {interface.network}", mtu, bridge.index, inner)
            made.append(device)
            if (name, interface.network) not in self.wiring.ports:
                port = Port(
                    node=name,
                    network=interface.network,
                    side=self.wiring.main,
                    index=device.index,
                    bridge=device.master,
                    mac=interface.mac,
                    interface=interface.name,
                    mtu=mtu,
                    address=interface.address,
                    address6=interface.address6,
                )
                self.wiring.add(port)
        if wanted:
            # With IPv6 it has a link-local address, from which a router asks for MACs of next hops (RFC 4861, 7.2.2).
            without = [interface.name for interface in wanted if not interface.address6]
            device_requests.switch_on_in(node.network, without)
            configure(node.network, wanted)
            self._made_for[name] = node
            asyncio.get_running_loop().add_reader(node.first_process, self._remove, name)
        return made

    def _remove(self, name: str) -> None:
        """Remove the ports of a node whose container has ended."""
        asyncio.get_running_loop().remove_reader(self._made_for[name].first_process)
        for interface in self._nodes[name].wires:
            place = name, interface.network
            if place not in self.wiring.gone:
                port = self.wiring.ports[place]
                self.devices.delete([port.index])
                self.when_removed(port)

    def lost(self) -> Iterator[str]:
        """Yield the nodes whose containers have started again, and have no wires yet."""
        own = os.fstat(self.wiring.switch).st_ino
        for name, before in list(self._made_for.items()):
            if before.has_ended:
                with suppress(LabError):
                    now = self.wiring.node(name)
                    if os.fstat(now.network).st_ino != own and not is_being_set_up(now):
                        yield name

    def route(self, name: str) -> None:
        """Give a node its NAT and firewall, the MTUs of its interfaces, and its routes.

        Raises:
            MachineError: `no-nft`.
            LabError: `route-refused`; `filter-refused`; `mtu-refused`; `node-stopped`, `port-gone`.
        """
        if name in self._nodes:
            self._set_mtus(name)
        if name in self._nodes and (wanted := self._nodes[name].packet_filter):
            packet_filters.install(self.wiring, name, wanted)
        if name in self._nodes and self._nodes[name].routes:
            routes.install(self.wiring.node(name), self._nodes[name].routes)

    def reroute(self, name: str) -> None:
        """Let `return_routes` give a node that is attached again its routes."""
        self._unrouted[name] = ""

    def return_routes(self) -> None:
        """Give nodes that are attached again their routes, as soon as the interfaces for these are there."""
        for name in list(self._unrouted):
            try:
                self.route(name)
                del self._unrouted[name]
            except FAILURES as error:
                self._unrouted[name] = str(error)

    def route_problem(self, name: str) -> str:
        """Return why a node has not got its routes back; empty if it has."""
        return f"has not got its routes back: {self._unrouted[name]}" if name in self._unrouted else ""

    def route_problems(self) -> list[str]:
        """Say in sentences which nodes have not got their routes back."""
        return [f"node {name} has not got its routes back: {error}" for name, error in self._unrouted.items() if error]

    def give_addresses(self, name: str) -> None:
        """Give a node its IPv6 addresses on the lab's own networks; its wires have theirs since they were made.

        Raises:
            MachineError: `no-ipv6`.
            LabError: `ipv6-refused`; `node-stopped`.
        """
        given = self._nodes[name].interfaces if name in self._nodes else ()
        own = {each.network: each for each in given if each.network not in self.wiring.open_networks}
        there = {network: port for (node, network), port in self.wiring.ports.items() if node == name}
        interfaces = {
            there[network].interface: interface
            for network, interface in own.items()
            if network in there and (name, network) not in self.wiring.gone
        }
        ipv6.assign(self.wiring.node(name), interfaces)

    def _set_mtus(self, name: str) -> None:
        """Give the interfaces of a node their MTUs. Its ports keep those of the networks, as a switch has."""
        wanted = {each.network: each.mtu for each in self._nodes[name].interfaces if each.mtu}
        node = self.wiring.node(name)
        mtus = {self.wiring.port(name, network).interface: mtu for network, mtu in wanted.items()}
        try:
            device_requests.set_mtus(node.network, mtus)
        except OSError as error:
            raise LabError("mtu-refused", f"node {name}: the kernel refuses an MTU: {error.strerror}") from None

    def let_pass(self, network: str) -> None:
        """Pass IP packets of a network from port to port: broadcasts and multicasts, routed ones, and all of a wire.

        Raises:
            OSError: the kernel's refusal.
        """
        ports = [
            port
            for place, port in self.wiring.ports.items()
            if port.network == network and place not in self.wiring.gone
        ]
        routers = {port.node for port in ports if port.node in self._nodes and self._nodes[port.node].forwards}
        if not routers and network not in self._bridges and network not in self.wiring.internal_networks:
            return
        for port in ports:
            if port.side.number:
                continue  # an overlay's sandbox has no firewall
            others = [each for each in ports if each.node != port.node]
            if network in self._bridges:
                far = self._tunnels.get(network) or (self.wiring.edge(others[0]) if others else None)
                ways = {bypass.EVERY: far} if far else {}
                if network in self._tunnels:
                    bypass.set_ways(port.side.route, self._tunnels[network], {bypass.EVERY: self.wiring.edge(port)})
            else:  # the machine lets pass what stays within the network
                ways = {each.mac: self.wiring.edge(each) for each in others if routers & {each.node, port.node}}
            to_many = [self.wiring.edge(each) for each in others] if network in self.wiring.internal_networks else []
            if ways or to_many:
                bypass.set_ways(port.side.route, self.wiring.edge(port), ways, to_many)
