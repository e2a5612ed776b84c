"""Networks and nodes that the agent makes: bridges, network namespaces, and the cables between them."""

from __future__ import annotations

import itertools
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pyroute2.netlink.exceptions import NetlinkError

from testbed.agent import ipv6
from testbed.agent.network_namespace import NetworkNamespace
from testbed.agent.nodes import Node
from testbed.agent.ports import Port
from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.agent.messages import NewInterface, NewNetwork, NewNode
    from testbed.agent.wiring import Wiring

_FIRST_INDEX = 1000
"""Indexes of devices on our own switch side are chosen, which saves asking for them; below are those of devices that
kernel modules add to every new namespace."""


async def create(wiring: Wiring, networks: Sequence[NewNetwork], nodes: Sequence[NewNode], hosts: Path) -> None:
    """Make networks as bridges and nodes as namespaces, and cable them.

    Args:
        wiring: of the lab, which is given the nodes and their ports.
        networks: to make.
        nodes: to make, with their interfaces.
        hosts: directory for the hosts files.

    Raises:
        LabError: `sysctl-refused`, `wiring-failed`.
    """
    with namespaces.inside(wiring.switch.fd):
        _no_ipv6()
    indexes = itertools.count(_FIRST_INDEX)
    try:
        bridges = {network.name: await _make_bridge(wiring, next(indexes), network.mtu) for network in networks}
        for node in nodes:
            _make_node(wiring, node, hosts / node.name)
            for interface in node.interfaces:
                await _cable(wiring, node.name, interface, next(indexes), bridges[interface.network])
            await configure(wiring.nodes[node.name].network, node.interfaces)
    except NetlinkError as error:
        raise LabError("wiring-failed", f"the kernel refused a device or an address: {error}") from None


async def _make_bridge(wiring: Wiring, index: int, mtu: int) -> tuple[int, int]:
    """Make a bridge, and return its index and MTU."""
    await wiring.switch.ip.link("add", index=index, ifname=f"net{index}", kind="bridge", mtu=mtu, br_mcast_snooping=0)
    await wiring.switch.ip.link("set", index=index, state="up")
    return index, mtu


def _make_node(wiring: Wiring, node: NewNode, hosts: Path) -> None:
    hosts.parent.mkdir(exist_ok=True)
    hosts.write_text(node.hosts, "utf-8")
    resolver = hosts.with_name(f"{node.name}.resolv") if node.surroundings.resolver else None
    if resolver:
        resolver.write_text(node.surroundings.resolver, "utf-8")
    network = namespaces.new_network()
    name = node.name
    wiring.nodes[name] = Node(
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


async def _cable(wiring: Wiring, node: str, interface: NewInterface, index: int, bridge: tuple[int, int]) -> None:
    """Connect a node to a switch; the end at the switch, which is the port, gets the index."""
    network, mtu = wiring.nodes[node].network, bridge[1]
    peer = {"ifname": interface.name, "address": interface.mac, "mtu": interface.mtu or mtu, "net_ns_fd": network}
    await wiring.switch.ip.link(
        "add", index=index, ifname=f"port{index}", kind="veth", mtu=mtu, master=bridge[0], state="up", peer=peer
    )
    wiring.add(
        Port(
            node=node,
            network=interface.network,
            side=wiring.main,
            index=index,
            bridge=bridge[0],
            mac=interface.mac,
            interface=interface.name,
            mtu=mtu,
            address=interface.address,
            address6=interface.address6,
        )
    )


async def configure(network: int, interfaces: Sequence[NewInterface]) -> None:
    """Give a node's interfaces their addresses and switch them on.

    Raises:
        MachineError: `no-ipv6`.
        LabError: `ipv6-refused`.
        NetlinkError: the kernel refuses an address.
    """
    if with_ipv6 := [interface.name for interface in interfaces if interface.address6]:
        with namespaces.inside(network):
            ipv6.enable(with_ipv6)
    async with NetworkNamespace(network) as node:
        indexes = {link.get("ifname"): link["index"] async for link in await node.ip.get_links()}
        for interface in interfaces:
            own = ((interface.address, interface.prefix_length), (interface.address6, interface.prefix_length6))
            for address, bits in own:
                if address:
                    await node.ip.addr("add", index=indexes[interface.name], address=address, prefixlen=bits)
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
