"""The nodes of a lab and their ports: made here (netns runtime) or found where Docker made them."""

from __future__ import annotations

import itertools
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.agent import switch
from testbed.agent.gateways import Gateways
from testbed.agent.netlink import RouteSocket
from testbed.agent.nodes import Node, devices_of, let_go, of_namespace, of_process
from testbed.agent.ports import DeviceKey, Line, Place, Port, Side
from testbed.errors import LabError, unknown_node
from testbed.linux import namespaces
from testbed.names import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.agent.messages import ContainerIdentity, NewInterface, NewNetwork, NewNode, PresentNetwork, PresentNode
    from testbed.agent.owners import Owner
    from testbed.agent.ports import DeviceKey, Line
    from testbed.agent.switch import Device

_FIRST_INDEX = 1000
"""Indexes of devices on our own switch side are chosen, which saves asking for them; below are those of devices that
kernel modules add to every new namespace."""


class NetworkNamespace:
    """A network namespace and a netlink socket in it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        with namespaces.inside(fd):
            self.ip = AsyncIPRoute()
            self.ip.socket  # noqa: B018  # opens the socket now, while we are inside

    async def __aenter__(self) -> Self:
        await self.ip.setup_endpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ip.close()


@dataclass(slots=True)
class Wiring:
    """All nodes and ports of a lab, and the namespace of the switch side: the agent's own, or the machine's.

    Attributes:
        switch: that namespace.
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
        elsewhere: further sides, by their numbers: where the ports of namespaces of others are.
        expected: by names of node and network, ports of containers that have not started, or whose links have not
            worked yet.
    """

    switch: NetworkNamespace
    route: RouteSocket
    nodes: dict[str, Node] = field(default_factory=dict)
    ports: dict[tuple[str, str], Port] = field(default_factory=dict)
    gone: dict[tuple[str, str], str] = field(default_factory=dict)
    bridges: dict[DeviceKey, str] = field(default_factory=dict)
    senders: dict[str, dict[str, str]] = field(default_factory=dict)
    identities: dict[str, ContainerIdentity] = field(default_factory=dict)
    lines: dict[tuple[str, str], Line] = field(default_factory=dict)
    gateways: Gateways = field(default_factory=Gateways)
    open_networks: set[str] = field(default_factory=set)
    expected: set[tuple[str, str]] = field(default_factory=set)
    elsewhere: dict[int, Side] = field(default_factory=dict)
    _places: dict[DeviceKey, tuple[str, str]] = field(default_factory=dict)

    @property
    def main(self) -> Side:
        """The lab's main switch side."""
        return Side(0, self.switch.fd, self.route)

    @property
    def sides(self) -> list[Side]:
        """All switch sides."""
        return [self.main, *self.elsewhere.values()]

    def node(self, name: str) -> Node:
        """The node of that name; of a container that was restarted, as it is now.

        Raises:
            UsageError: `unknown-node`.
            LabError: `node-stopped`.
        """
        if name in BUILT_IN and self.gateways.machine:
            return self.gateways.machine
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
        """The port where a node hangs on a network.

        Raises:
            LabError: `no-such-port`; `port-gone`, the node is not on the network at the moment.
        """
        if node in BUILT_IN and network in self.gateways:
            return self.gateways[network].port(node, self.main)
        if (node, network) not in self.ports:
            raise LabError("no-such-port", f"{node!r} is on no network {network!r} of this lab")
        if reason := self.gone.get((node, network)):
            raise LabError("port-gone", reason, "its links work again as soon as it is back")
        return self.ports[node, network]

    def address(self, node: str, network: str) -> str:
        """The address that a node has on a network, also while it is gone; KeyError where it has none."""
        return self.gateways[network].address if node in BUILT_IN else self.ports[node, network].address

    def side(self, node: str, network: str) -> Side:
        """Where the port of a node is, also while it is gone; KeyError where it has none."""
        return self.main if node in BUILT_IN else self.ports[node, network].side

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

    def bridged(self, side: Side, device: Device) -> str | None:
        """The network that a device is a port of."""
        return self.bridges.get((side.number, device.master))

    def add(self, port: Port) -> None:
        """Have a port where there is none, or none any more."""
        self.gone.pop((port.node, port.network), None)
        self.ports[port.node, port.network] = port
        self._places[port.key] = port.node, port.network
        if port.bridge:
            self.bridges[port.side.number, port.bridge] = port.network
        senders = self.senders.setdefault(port.network, {})
        for mac in [mac for mac, node in senders.items() if node == port.node]:
            del senders[mac]
        senders[port.mac] = port.node

    def add_line(self, port: Port, line: Line) -> None:
        """Have a line between a port and the switch. The port counts as its outer end, too."""
        self.lines[port.node, port.network] = line
        self._places[port.side.number, line.outer] = port.node, port.network

    def remove_line(self, port: Port) -> Line | None:
        """Have no line at a port; return the one that was there."""
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
        """Let go of a node that is a namespace which has gone."""
        self.nodes[name] = let_go(self.nodes[name])

    def returned(self, place: Place, network: str, owner: Owner | None) -> Port | None:
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
            if owner and node.container in owner.pids:
                if node.has_ended:
                    self.nodes[name] = self._of_container(node, owner.pids[node.container], node.container)
                return self._return(name, network, place, owner.interface)
            if not node.container and (inner := self._end_in(node, place)):
                return self._return(name, network, place, inner)
        return None

    def _end_in(self, node: Node, place: Place) -> Device | None:
        """The other end of a device, if it is in a node without a container, as that is now."""
        for now in node.incarnations():
            if inner := switch.other_end(place.side.fd, place.device, now.network):
                self.nodes[node.name] = now
                return inner
        return None

    def _of_container(self, node: Node, pid: int, container: str) -> Node:
        return of_process(node.name, pid, limited=bool(node.cgroups), container=container)

    def _return(self, name: str, network: str, place: Place, inner: Device) -> Port:
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
        """Have another container be a node, in place of one that has ended.

        Raises:
            OSError: it has ended too.
        """
        self.nodes[name] = self._of_container(self.nodes[name], pid, container)

    def join(self, name: str, like: str, pid: int, container: str) -> None:
        """Have a further node on the networks of another, none of which it has a port on yet.

        Raises:
            OSError: the container has ended.
        """
        model = self.nodes[like]
        self.nodes[name] = of_process(name, pid, limited=bool(model.cgroups), container=container)
        for (node, network), port in list(self.ports.items()):
            if node == like:
                self.ports[name, network] = replace(port, node=name, index=0, mac="", address="")
                self.gone[name, network] = f"node {name} is not on network {network} yet"

    def awaits(self, *nodes: str, network: str) -> bool:
        """Whether one of some nodes is a container that has not been on a network yet."""
        return any((node, network) in self.expected & self.gone.keys() for node in nodes)

    async def create(self, networks: Sequence[NewNetwork], nodes: Sequence[NewNode], hosts: Path) -> None:
        """Make networks as bridges and nodes as namespaces, and cable them.

        Args:
            networks: to make.
            nodes: to make, with their interfaces.
            hosts: directory for the hosts files.

        Raises:
            LabError: `sysctl-refused`, `wiring-failed`.
        """
        with namespaces.inside(self.switch.fd):
            _no_ipv6()
        indexes = itertools.count(_FIRST_INDEX)
        try:
            bridges = {network.name: await self._make_bridge(next(indexes), network.mtu) for network in networks}
            for node in nodes:
                self._make_node(node, hosts / node.name)
                for interface in node.interfaces:
                    await self._cable(node.name, interface, next(indexes), bridges[interface.network])
                await configure(self.nodes[node.name].network, node.interfaces)
        except NetlinkError as error:
            raise LabError("wiring-failed", f"the kernel refused a device or an address: {error}") from None

    async def _make_bridge(self, index: int, mtu: int) -> tuple[int, int]:
        """A switch; its index and MTU."""
        await self.switch.ip.link("add", index=index, ifname=f"net{index}", kind="bridge", mtu=mtu, br_mcast_snooping=0)
        await self.switch.ip.link("set", index=index, state="up")
        return index, mtu

    def _make_node(self, node: NewNode, hosts: Path) -> None:
        hosts.parent.mkdir(exist_ok=True)
        hosts.write_text(node.hosts, "utf-8")
        resolver = hosts.with_name(f"{node.name}.resolv") if node.surroundings.resolver else None
        if resolver:
            resolver.write_text(node.surroundings.resolver, "utf-8")
        network = namespaces.new_network()
        name = node.name
        self.nodes[name] = Node(
            name=name,
            network=network,
            hosts=hosts,
            resolver=resolver,
            surroundings=node.surroundings,
            environment=node.environment,
            directory=node.directory,
        )
        with namespaces.inside(network):
            _no_ipv6()
            _set_sysctls(name, node.sysctls)

    async def _cable(self, node: str, interface: NewInterface, index: int, bridge: tuple[int, int]) -> None:
        """Connect a node to a switch; the end at the switch, which is the port, gets the index."""
        network, mtu = self.nodes[node].network, bridge[1]
        peer = {"ifname": interface.name, "address": interface.mac, "mtu": mtu, "net_ns_fd": network}
        await self.switch.ip.link(
            "add", index=index, ifname=f"port{index}", kind="veth", mtu=mtu, master=bridge[0], state="up", peer=peer
        )
        self.add(
            Port(
                node=node,
                network=interface.network,
                side=self.main,
                index=index,
                bridge=bridge[0],
                mac=interface.mac,
                interface=interface.name,
                mtu=mtu,
                address=interface.address,
            )
        )

    async def adopt(self, networks: Sequence[PresentNetwork], nodes: Sequence[PresentNode]) -> None:
        """Find the ports of nodes that are there already, on networks that are there already.

        Raises:
            LabError: `node-gone`, `port-not-found`.
        """
        self.open_networks |= {network.name for network in networks if network.open}
        for given in nodes:
            name, pid = given.name, given.pid
            try:
                if given.namespace:
                    node = of_namespace(name, given.namespace)
                else:
                    node = of_process(name, pid, limited=given.limited, container=given.container)
            except OSError as error:
                raise LabError(
                    "node-gone", f"no namespace of {name} ({given.namespace or f'pid {pid}'}): {error.strerror}"
                ) from None
            self.nodes[name] = node
            if given.identity:
                self.identities[name] = given.identity
            by_mac = {device.mac: device for device in devices_of(node)}
            for interface in given.interfaces:
                device = by_mac.get(interface.mac)
                found = self._behind(node, device) if device else None
                if not device or not found:
                    raise LabError(
                        "port-not-found",
                        f"{name} has no veth interface with MAC {interface.mac} for network {interface.network}; "
                        f"it has {', '.join(filter(None, by_mac))}",
                        "attach the node to a bridge network only",
                    )
                side, port = found
                self.add(
                    Port(
                        node=name,
                        network=interface.network,
                        side=side,
                        index=port.index,
                        bridge=port.master,
                        mac=device.mac,
                        interface=device.name,
                        mtu=device.mtu,
                        address=interface.address,
                    )
                )

    def _behind(self, node: Node, device: Device) -> Place | None:
        """Where the other end of a node's interface is: on a switch side, or in any other namespace of this machine."""
        for side in self.sides:
            if port := switch.other_end(node.network, device, side.fd):
                return Place(side, port)
        if device.peer_namespace is None or not node.path:
            return None
        for path in namespaces.known_networks(*(each.path for each in self.nodes.values())):
            with suppress(OSError):
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                if port := switch.other_end(node.network, device, fd):
                    with namespaces.inside(fd):
                        side = Side(os.fstat(fd).st_ino, fd, RouteSocket(), str(path))
                    self.elsewhere[side.number] = side
                    return Place(side, port)
                os.close(fd)
        return None


async def configure(network: int, interfaces: Sequence[NewInterface]) -> None:
    """Give a node's interfaces their addresses and switch them on."""
    async with NetworkNamespace(network) as node:
        indexes = {link.get("ifname"): link["index"] async for link in await node.ip.get_links()}
        for interface in interfaces:
            await node.ip.addr(
                "add",
                index=indexes[interface.name],
                address=interface.address,
                prefixlen=interface.prefix_length,
            )
        for name in ("lo", *(interface.name for interface in interfaces)):
            await node.ip.link("set", index=indexes[name], state="up")


def _no_ipv6() -> None:
    """Keep autoconfiguration quiet in the current namespace, as Docker does on networks without IPv6."""
    with suppress(OSError):
        socket.socket(socket.AF_INET6).close()  # has the kernel load the module, if it is one, before we set it
    for scope in ("all", "default"):
        setting = Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6")
        if setting.exists():
            setting.write_text("1", "ascii")


def _set_sysctls(node: str, sysctls: Mapping[str, str]) -> None:
    for name, value in sysctls.items():
        try:
            Path("/proc/sys", *name.split(".")).write_text(value, "ascii")
        except OSError as error:
            raise LabError(
                "sysctl-refused",
                f"{node}: the kernel refuses {name}={value}: {error.strerror}",
                "only settings of a network namespace can be given, net.*; see `sysctl -a` for names and values",
            ) from None
