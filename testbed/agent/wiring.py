"""The nodes of a lab and their ports: made here (netns runtime) or found where Docker made them."""

from __future__ import annotations

import itertools
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.agent import namespaces
from testbed.errors import LabError, no_such_node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """The switch side of a node's attachment to a network.

    Attributes:
        index: of the device on the switch side.
        mac: of the node's interface.
        interface: name of the node's interface, inside the node.
        mtu: bytes of an IP packet.
    """

    node: str
    network: str
    index: int
    mac: str
    interface: str
    mtu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Where processes of a node live.

    Attributes:
        network: file descriptor of the network namespace.
        hosts: what is seen as /etc/hosts; None leaves the file alone.
        cgroups: files that take the pid of a process which the node's limits are to hold for.
        environment: variables of every process in the node.
    """

    name: str
    network: int
    hosts: Path | None = None
    cgroups: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Wiring:
    """All nodes and ports of a lab, and the namespace of the switch side: the agent's own, or the machine's."""

    switch: NetworkNamespace
    nodes: dict[str, Node] = field(default_factory=dict)
    ports: dict[tuple[str, str], Port] = field(default_factory=dict)
    """By names of node and network."""

    def node(self, name: str) -> Node:
        """The node of that name.

        Raises:
            UsageError: `no-such-node`.
        """
        if name not in self.nodes:
            raise no_such_node(name, self.nodes)
        return self.nodes[name]

    def port(self, node: str, network: str) -> Port:
        """The port where a node hangs on a network.

        Raises:
            LabError: `no-such-port`.
        """
        if (node, network) not in self.ports:
            raise LabError("no-such-port", f"{node!r} is on no network {network!r} of this lab")
        return self.ports[node, network]

    async def create(
        self, networks: Sequence[Mapping[str, Any]], nodes: Sequence[Mapping[str, Any]], hosts: Path
    ) -> None:
        """Make networks as bridges and nodes as namespaces, and cable them.

        Args:
            networks: `name`, `mtu`.
            nodes: `name`, `sysctls`, `environment`, `hosts` (text of its /etc/hosts) and `interfaces`, each with
                `network`, `name`, `address`, `prefix_length`, `mac`.
            hosts: directory for the hosts files.

        Raises:
            LabError: `sysctl-refused`, `wiring-failed`.
        """
        with namespaces.inside(self.switch.fd):
            _no_ipv6()
        indexes = itertools.count(_FIRST_INDEX)
        try:
            bridges = {each["name"]: await self._make_bridge(next(indexes), each["mtu"]) for each in networks}
            for node in nodes:
                self._make_node(node, hosts / node["name"])
                for interface in node["interfaces"]:
                    await self._cable(node["name"], interface, next(indexes), bridges[interface["network"]])
                await _configure(self.nodes[node["name"]].network, node["interfaces"])
        except NetlinkError as error:
            raise LabError("wiring-failed", f"the kernel refused a device or an address: {error}") from None

    async def _make_bridge(self, index: int, mtu: int) -> tuple[int, int]:
        """A switch; its index and MTU."""
        await self.switch.ip.link("add", index=index, ifname=f"net{index}", kind="bridge", mtu=mtu, br_mcast_snooping=0)
        await self.switch.ip.link("set", index=index, state="up")
        return index, mtu

    def _make_node(self, node: Mapping[str, Any], hosts: Path) -> None:
        hosts.parent.mkdir(exist_ok=True)
        hosts.write_text(node["hosts"], "utf-8")
        network = namespaces.new_network()
        name = node["name"]
        self.nodes[name] = Node(name=name, network=network, hosts=hosts, environment=node["environment"])
        with namespaces.inside(network):
            _no_ipv6()
            _set_sysctls(name, node["sysctls"])

    async def _cable(self, node: str, interface: Mapping[str, Any], index: int, bridge: tuple[int, int]) -> None:
        """Connect a node to a switch; the end at the switch, which is the port, gets the index."""
        network, mtu = self.nodes[node].network, bridge[1]
        peer = {"ifname": interface["name"], "address": interface["mac"], "mtu": mtu, "net_ns_fd": network}
        await self.switch.ip.link(
            "add", index=index, ifname=f"port{index}", kind="veth", mtu=mtu, master=bridge[0], state="up", peer=peer
        )
        self.ports[node, interface["network"]] = Port(
            node=node,
            network=interface["network"],
            index=index,
            mac=interface["mac"],
            interface=interface["name"],
            mtu=mtu,
        )

    async def adopt(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Find the ports of nodes that are there already.

        Args:
            nodes: `name`, `pid` (a process in the node, as seen from here), `limited` (CPU or memory limits hold for
                it) and `interfaces`, each with `network` and `mac`.

        Raises:
            LabError: `node-gone`, `port-not-found`.
        """
        for node in nodes:
            name, pid = node["name"], node["pid"]
            try:
                fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                cgroups = _cgroups(pid) if node["limited"] else ()
            except OSError as error:
                raise LabError("node-gone", f"no namespace of {name} (pid {pid}): {error.strerror}") from None
            self.nodes[name] = Node(name=name, network=fd, cgroups=cgroups)
            async with NetworkNamespace(fd) as inside:
                by_mac = {link.get("address"): link async for link in await inside.ip.get_links()}
            for interface in node["interfaces"]:
                link = by_mac.get(interface["mac"])
                index = link.get("link") if link else None
                if not link or not index:
                    raise LabError(
                        "port-not-found",
                        f"{name} has no veth interface with MAC {interface['mac']} for network {interface['network']}; "
                        f"it has {', '.join(filter(None, by_mac))}",
                        "attach the node to a bridge network only",
                    )
                self.ports[name, interface["network"]] = Port(
                    node=name,
                    network=interface["network"],
                    index=index,
                    mac=interface["mac"],
                    interface=link.get("ifname"),
                    mtu=link.get("mtu"),
                )


async def _configure(network: int, interfaces: Sequence[Mapping[str, Any]]) -> None:
    """Give a node's interfaces their addresses and switch them on."""
    async with NetworkNamespace(network) as node:
        indexes = {link.get("ifname"): link["index"] async for link in await node.ip.get_links()}
        for interface in interfaces:
            await node.ip.addr(
                "add",
                index=indexes[interface["name"]],
                address=interface["address"],
                prefixlen=interface["prefix_length"],
            )
        for name in ("lo", *(interface["name"] for interface in interfaces)):
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


def _cgroups(pid: int) -> tuple[Path, ...]:
    """The `cgroup.procs` files of the cgroups that a process is in (cgroups(7)), version 1 and 2."""
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text("ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        for name in {controllers.removeprefix("name="), *controllers.split(",")}:
            procs = Path("/sys/fs/cgroup", name, path.lstrip("/"), "cgroup.procs")
            if procs.exists():
                found.append(procs)
                break
    return tuple(found)
