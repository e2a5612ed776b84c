"""The nodes of a lab and their ports, as they are now. `creation` makes them, `adoption` finds those of others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from testbed.agent import switch
from testbed.agent.gateways import Gateways
from testbed.agent.nodes import NodeNamespaces, let_go, of_process
from testbed.agent.ports import AccessLine, DeviceKey, DevicePlace, Port, Side
from testbed.errors import LabError, unknown_node
from testbed.names import BUILT_IN, INTERNET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.agent.link_devices import LinkDevices
    from testbed.agent.messages import ContainerIdentity
    from testbed.agent.netlink import RouteSocket
    from testbed.agent.owners import PortOwner
    from testbed.agent.switch import NetworkDevice


@dataclass(slots=True)
class Wiring:
    """All nodes and ports of a lab, and the namespace of the switch side: the agent's own, or the machine's.

    Attributes:
        switch: file descriptor of that namespace.
        route: a netlink socket in it.
        nodes: by name.
        ports: by names of node and network, those included that are gone.
        gone: by names of node and network, ports that are not there now, and why.
        bridges: networks by their bridge.
        senders: by network, the nodes by the MACs that they send with.
        identities: by node, what tells its container when it has been made anew; only of those that are followed so.
        lines: by names of node and network, those between ports and the switch.
        gateways: where networks meet the machine.
        open_networks: those that are not the lab's own: what they carry between others passes untouched.
        internal_networks: the lab's own that Docker has made, from which nothing gets out.
        elsewhere: further sides, by their numbers: where the ports of namespaces of others are, and those of overlay
            networks.
        distant: by names of node and network, the MAC and the addresses of nodes on other machines.
        expected: by names of node and network, ports of containers that have not started, or whose links have not
            worked yet.
    """

    switch: int
    route: RouteSocket
    nodes: dict[str, NodeNamespaces] = field(default_factory=dict)
    ports: dict[tuple[str, str], Port] = field(default_factory=dict)
    gone: dict[tuple[str, str], str] = field(default_factory=dict)
    bridges: dict[DeviceKey, str] = field(default_factory=dict)
    senders: dict[str, dict[str, str]] = field(default_factory=dict)
    identities: dict[str, ContainerIdentity] = field(default_factory=dict)
    lines: dict[tuple[str, str], AccessLine] = field(default_factory=dict)
    gateways: Gateways = field(default_factory=Gateways)
    open_networks: set[str] = field(default_factory=set)
    internal_networks: set[str] = field(default_factory=set)
    expected: set[tuple[str, str]] = field(default_factory=set)
    elsewhere: dict[int, Side] = field(default_factory=dict)
    distant: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    _places: dict[DeviceKey, tuple[str, str]] = field(default_factory=dict)

    @property
    def main(self) -> Side:
        """The lab's main switch side."""
        return Side(0, self.switch, self.route)

    @property
    def sides(self) -> list[Side]:
        """All switch sides."""
        return [self.main, *self.elsewhere.values()]

    def node(self, name: str) -> NodeNamespaces:
        """The node of that name; of a container that was restarted, as it is now.

        Raises:
            UsageError: `unknown-node`.
            LabError: `node-stopped`.
        """
        if name in BUILT_IN and (built_in := self.gateways.node(name)):
            return built_in
        if name not in self.nodes:
            raise unknown_node(name, self.nodes)
        if self.nodes[name].has_ended:
            try:
                self.nodes[name] = next(self.nodes[name].incarnations())
            except StopIteration:
                raise LabError(
                    "node-stopped",
                    f"node {name} does not run: {self.nodes[name].end}",
                    "start it, and its links work again; or take the lab down and bring it up again",
                ) from None
        return self.nodes[name]

    def port(self, node: str, network: str) -> Port:
        """The port of a node on a network.

        Raises:
            LabError: `no-such-port`; `port-gone`, the node is not on the network at the moment.
        """
        try:
            port = self.last_port(node, network)
        except KeyError:
            raise LabError("no-such-port", f"{node!r} is on no network {network!r} of this lab") from None
        if reason := self.gone.get((node, network)):
            raise LabError("port-gone", reason, "its links work again as soon as it is back")
        return port

    def last_port(self, node: str, network: str) -> Port:
        """The port of a node on a network, or the last one that it had there; KeyError where it has none."""
        if node in BUILT_IN and network in self.gateways:
            return self.gateways[network].port(node, self.main)
        return self.ports[node, network]

    def meet_machine(self, network: str, addresses: Mapping[str, tuple[str, ...]], devices: LinkDevices) -> None:
        """Give a network a gateway to the machine, and where a link needs it one to `internet`.

        Args:
            network: the network's name.
            addresses: of the ends of a link there, by their names.
            devices: makes devices on the switch side.

        Raises:
            LabError: `no-gateway`, the machine has no address there.
            OSError: the kernel's refusal.
        """
        self.gateways.meet(network, self.bridge(network), self.route, self.switch, devices)
        if INTERNET in addresses:
            self.gateways.reach_beyond(network, addresses[INTERNET][0], devices)

    def meet_beyond(self) -> None:
        """Tell the stand-in for other machines which nodes there are now.

        Raises:
            OSError: the kernel's refusal.
        """
        if self.gateways.beyond:
            self.gateways.beyond.meet(port for place, port in self.ports.items() if place not in self.gone)

    def add_distant(self, node: str, network: str, mac: str, addresses: tuple[str, ...]) -> None:
        """Add the place of a node on another machine."""
        self.distant[node, network] = mac, addresses
        self.senders.setdefault(network, {})[mac] = node

    def move_distant(self, node: str, network: str, macs: Sequence[str], addresses: Sequence[str]) -> None:
        """Know a node on another machine by other MACs; without any, until it is back, by none."""
        senders = self.senders[network]
        for mac in [mac for mac, sender in senders.items() if sender == node]:
            del senders[mac]
        senders |= dict.fromkeys(macs, node)
        if macs:
            self.distant[node, network] = macs[0], tuple(addresses)

    def addresses(self, node: str, network: str) -> tuple[str, ...]:
        """The addresses that a node has on a network, also while it is gone; KeyError where it is not on it."""
        if (node, network) in self.distant:
            return self.distant[node, network][1]
        return self.last_port(node, network).addresses

    def side(self, node: str, network: str) -> Side:
        """Where the port of a node is, also while it is gone; KeyError where it has none."""
        return self.last_port(node, network).side

    def bridge(self, network: str) -> int:
        """The index of a network's bridge on the main side.

        Raises:
            LabError: `no-such-port`, no node is on the network, or the network is a cable or elsewhere.
        """
        for (side, index), name in self.bridges.items():
            if name == network and side == self.main.number:
                return index
        raise LabError("no-such-port", f"no bridge of this machine is network {network!r}")

    def port_at(self, key: DeviceKey) -> Port | None:
        """The port that is a device."""
        return self.ports[self._places[key]] if key in self._places else None

    def bridged(self, side: Side, device: NetworkDevice) -> str | None:
        """The network that a device is a port of."""
        return self.bridges.get((side.number, device.master))

    def add(self, port: Port) -> None:
        """Add a port where there is none, or none any more."""
        self.gone.pop((port.node, port.network), None)
        was_known = (port.node, port.network) in self.ports
        self.ports[port.node, port.network] = port
        self._places[port.key] = port.node, port.network
        if port.bridge:
            self.bridges[port.side.number, port.bridge] = port.network
        senders = self.senders.setdefault(port.network, {})
        if was_known:
            for mac in [mac for mac, node in senders.items() if node == port.node]:
                del senders[mac]
        senders[port.mac] = port.node

    def add_line(self, port: Port, line: AccessLine) -> None:
        """Put a line between a port and the switch. The line's outer end counts as the port, too."""
        self.lines[port.node, port.network] = line
        self._places[port.side.number, line.outer] = port.node, port.network

    def remove_line(self, port: Port) -> AccessLine | None:
        """Remove the line at a port, and return it."""
        line = self.lines.pop((port.node, port.network), None)
        if line:
            self._places.pop((port.side.number, line.outer), None)
        return line

    def edge(self, port: Port) -> int:
        """Return the index of the device where packets for a port leave the switch: its own, or that of its line."""
        line = self.lines.get((port.node, port.network))
        return line.outer if line else port.index

    def lose(self, port: Port) -> None:
        """Note that a port has gone."""
        node = self.nodes[port.node]
        self._places.pop(port.key, None)
        cause = node.end if node.has_ended else "its interface there was removed"
        self.gone[port.node, port.network] = f"node {port.node} is not on network {port.network}: {cause}"

    def release(self, name: str) -> None:
        """Forget a node whose namespace has gone."""
        self.nodes[name] = let_go(self.nodes[name])

    def returned(self, place: DevicePlace, network: str, owner: PortOwner | None) -> Port | None:
        """The node's interface at the other end of a device on the switch side, where a port was gone.

        The port and the node are known anew from then on.

        Args:
            place: the device on the switch side.
            network: the network of its bridge.
            owner: whose it is; None where no process is there, as in a node without any.
        """
        for name, where in list(self.gone):
            node = self.nodes[name]
            if where != network or node.is_awaited:
                continue
            if owner and not node.path and node.container in owner.pids:
                if node.has_ended:
                    self.nodes[name] = self._of_container(node, owner.pids[node.container], node.container)
                return self._return(name, network, place, owner.interface)
            if not node.container and (inner := self._end_in(node, place)):
                return self._return(name, network, place, inner)
        return None

    def _end_in(self, node: NodeNamespaces, place: DevicePlace) -> NetworkDevice | None:
        """The other end of a device, if it is in a node without a container, as that is now."""
        for now in node.incarnations():
            if inner := switch.other_end(place.side.fd, place.device, now.network):
                self.nodes[node.name] = now
                return inner
        return None

    def _of_container(self, node: NodeNamespaces, pid: int, container: str) -> NodeNamespaces:
        return of_process(node.name, pid, limited=bool(node.cgroups), container=container)

    def _return(self, name: str, network: str, place: DevicePlace, inner: NetworkDevice) -> Port:
        port = replace(
            self.ports[name, network],
            node=name,
            side=place.side,
            index=place.device.index,
            bridge=place.device.master,
            mac=inner.mac,
            interface=inner.name,
            mtu=inner.mtu,
        )
        self.add(port)
        return port

    def succeed(self, name: str, pid: int, container: str) -> None:
        """Make another container a node, in place of one that has ended.

        Raises:
            OSError: it has ended too.
        """
        self.nodes[name] = self._of_container(self.nodes[name], pid, container)

    def join(self, name: str, like: str, pid: int, container: str) -> None:
        """Add a node on the networks of another one; it has no port there yet.

        Raises:
            OSError: the container has ended.
        """
        model = self.nodes[like]
        self.nodes[name] = of_process(name, pid, limited=bool(model.cgroups), container=container)
        for (node, network), port in list(self.ports.items()):
            if node == like:
                self.ports[name, network] = replace(port, node=name, index=0, mac="", address="", address6="")
                self.gone[name, network] = f"node {name} is not on network {network} yet"

    def awaits(self, *nodes: str, network: str) -> bool:
        """Whether one of these nodes is a container that has not been on a network yet."""
        return any((node, network) in self.expected & self.gone.keys() for node in nodes)
