"""Networks and nodes that the agent makes: bridges, network namespaces, and the cables between them.

What a node costs here decides how large a lab can be. So there is one visit to each namespace, one batch of netlink
messages on either side of a cable, and nothing that grows with the number of nodes.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import device_requests, ipv6, node_addresses, switch
from testbed.agent.device_requests import UP, Described
from testbed.agent.netlink import RouteSocket
from testbed.agent.nodes import LabFile, NodeNamespaces
from testbed.agent.ports import Port
from testbed.errors import LabError
from testbed.linux import mounts, namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from testbed.agent.messages import NewInterface, NewNetwork, NewNode
    from testbed.agent.netlink import Message
    from testbed.agent.wiring import Wiring

_FIRST_INDEX = 1000
"""Indexes of devices on our own switch side are chosen, which saves asking for them; below are those of devices that
kernel modules add to every new namespace."""

_FIRST_INNER_INDEX = 500
"""Of a node's interfaces, likewise; no port has the same one."""

_LOOPBACK = 1

_AT_ONCE = 64
"""Namespaces whose settings are made through one instance of procfs."""


def create(
    wiring: Wiring, networks: Sequence[NewNetwork], nodes: Sequence[NewNode], others: Sequence[str], hosts: Path
) -> None:
    """Make networks as bridges and nodes as namespaces, and cable them.

    Args:
        wiring: of the lab, which is given the nodes and their ports.
        networks: to make.
        nodes: to make, with their interfaces.
        others: what nodes' hosts files have in common, by the numbers that nodes have of it.
        hosts: directory for the hosts files.

    Raises:
        MachineError: `no-ipv6`.
        LabError: `sysctl-refused`, `wiring-failed`, `ipv6-refused`.
    """
    shutil.rmtree(hosts, ignore_errors=True)  # of a lab of the same name whose agent was killed
    hosts.mkdir()
    with namespaces.inside(wiring.switch):
        with suppress(OSError):
            socket.socket(socket.AF_INET6).close()  # has the kernel load the module, if it is one, before we set it
        _set_sysctls(Path("/proc/sys"), _WITHOUT_IPV6)
    bridges = {
        network.name: Described(f"net{index}", index, network.mtu)
        for index, network in enumerate(networks, _FIRST_INDEX)
    }
    maker = _NodeMaker(wiring, others, hosts, bridges, itertools.count(_FIRST_INDEX + len(bridges)))
    try:
        wiring.route.send(
            [device_requests.new_bridge(each.name, each.mtu, number=each.number, flags=UP) for each in bridges.values()]
        )
        for batch in _batches(nodes):
            with _kernel_settings() as settings:
                for node in batch:
                    maker.make(node, settings)
    except OSError as error:
        raise LabError("wiring-failed", f"the kernel refused a device or an address: {error}") from None


def _batches(nodes: Iterable[NewNode]) -> Iterator[tuple[NewNode, ...]]:
    rest = iter(nodes)
    while batch := tuple(itertools.islice(rest, _AT_ONCE)):
        yield batch


@contextmanager
def _kernel_settings() -> Iterator[Path]:
    """Return the path of /proc/sys, for the settings of a few namespaces.

    The kernel keeps what was looked up in /proc/sys/net by its name, of all namespaces together, and compares one after
    another: the thousandth would take a thousand comparisons a look-up. An instance of our own has few.
    """
    try:
        root = mounts.new_proc()
    except OSError:  # before Linux 5.2, or where procfs is restricted
        yield Path("/proc/sys")
        return
    try:
        yield Path(f"/proc/self/fd/{root}/sys")
    finally:
        os.close(root)


@dataclass(frozen=True, slots=True)
class _NodeMaker:
    """Makes nodes.

    Attributes:
        wiring: of the lab.
        others: see `create`.
        hosts: directory for the hosts files.
        bridges: of the networks, by name.
        numbers: indexes for ports.
    """

    wiring: Wiring
    others: Sequence[str]
    hosts: Path
    bridges: Mapping[str, Described]
    numbers: Iterator[int]

    def make(self, new: NewNode, settings: Path) -> None:
        """Make a node, with its interfaces; `settings` is the path of /proc/sys."""
        with namespaces.inside_new_network() as network:
            node = self.wiring.nodes[new.name] = self._node(new, network)
            _set_sysctls(settings, _WITHOUT_IPV6)
            _set_sysctls(settings, new.sysctls, new.name)
            inside = RouteSocket()
        inner = dict(zip((each.name for each in new.interfaces), itertools.count(_FIRST_INNER_INDEX), strict=False))
        with inside:
            ports = [self._port(new.name, interface, next(self.numbers)) for interface in new.interfaces]
            cables = zip(ports, new.interfaces, strict=True)
            self.wiring.route.send([self._cable(*cable, inner, node) for cable in cables])
            for port in ports:
                self.wiring.add(port)
            if with_ipv6 := [interface.name for interface in new.interfaces if interface.address6]:
                with namespaces.inside(network):
                    ipv6.enable(with_ipv6, settings)
            inside.send(list(_configuration(new.interfaces, inner)))

    def _node(self, new: NewNode, network: int) -> NodeNamespaces:
        shared, resolver = "" if new.others is None else self.others[new.others], new.surroundings.resolver
        return NodeNamespaces(
            name=new.name,
            network=network,
            hosts=LabFile(self.hosts / new.name, new.hosts, shared, new.name),
            resolver=LabFile(self.hosts / f"{new.name}.resolv", resolver) if resolver else None,
            surroundings=new.surroundings,
            environment=new.environment,
            directory=new.directory,
        )

    def _port(self, node: str, interface: NewInterface, index: int) -> Port:
        bridge = self.bridges[interface.network]
        return Port(
            node=node,
            network=interface.network,
            side=self.wiring.main,
            index=index,
            bridge=bridge.number,
            mac=interface.mac,
            interface=interface.name,
            mtu=bridge.mtu,
            address=interface.address,
            address6=interface.address6,
        )

    @staticmethod
    def _cable(port: Port, interface: NewInterface, inner: Mapping[str, int], node: NodeNamespaces) -> Message:
        """Connect a node to a switch."""
        near = Described(f"port{port.index}", port.index, port.mtu)
        far = Described(interface.name, inner[interface.name], interface.mtu or port.mtu)
        return device_requests.new_cable((near, far), bridge=port.bridge, mac=port.mac, network=node.network)


def configure(network: int, interfaces: Sequence[NewInterface]) -> None:
    """Give a node's interfaces their addresses and switch them on.

    Raises:
        MachineError: `no-ipv6`.
        LabError: `ipv6-refused`.
        OSError: the kernel refuses an address.
    """
    with namespaces.inside(network), RouteSocket() as route:
        if with_ipv6 := [interface.name for interface in interfaces if interface.address6]:
            ipv6.enable(with_ipv6)
        indexes = {interface.name: switch.named(route, interface.name).index for interface in interfaces}
        route.send(list(_configuration(interfaces, indexes)))


def _configuration(interfaces: Sequence[NewInterface], indexes: Mapping[str, int]) -> Iterator[Message]:
    """Yield the messages that give interfaces their addresses and switch them on, and the loopback."""
    for interface in interfaces:
        own = ((interface.address, interface.prefix_length), (interface.address6, interface.prefix_length6))
        for address, bits in own:
            if address:
                yield node_addresses.addition(indexes[interface.name], address, bits)
    for index in (_LOOPBACK, *(indexes[interface.name] for interface in interfaces)):
        yield device_requests.state(index, is_up=True)


_WITHOUT_IPV6 = {f"net.ipv6.conf.{scope}.disable_ipv6": "1" for scope in ("all", "default")}
"""What keeps autoconfiguration quiet in a namespace, as Docker does on networks without IPv6."""


def _set_sysctls(settings: Path, sysctls: Mapping[str, str], node: str = "") -> None:
    """Make settings of the current network namespace; without a node, those that this kernel has.

    Raises:
        LabError: `sysctl-refused`.
    """
    for name, value in sysctls.items():
        try:
            setting = os.open(f"{settings}/{name.replace('.', '/')}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(setting, value.encode("ascii"))
            finally:
                os.close(setting)
        except OSError as error:
            if not node and isinstance(error, FileNotFoundError):
                continue
            raise LabError(
                "sysctl-refused",
                f"{node or 'the switch side'}: the kernel refuses {name}={value}: {error.strerror}",
                "only settings of a network namespace can be given, net.*; see `sysctl -a` for names and values",
            ) from None
