"""Where nodes are attached: the namespaces of switch sides, and ports in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from testbed.agent.netlink import RouteSocket
    from testbed.agent.switch import NetworkDevice


@dataclass(frozen=True, slots=True)
class Side:
    """A network namespace in which ports are.

    Attributes:
        number: its inode; 0 of the lab's main switch side.
        fd: file descriptor of it.
        route: a netlink socket in it.
        path: by which it was found; empty of the lab's main switch side.
    """

    number: int
    fd: int
    route: RouteSocket
    path: str = ""

    def close(self) -> None:
        """Close the namespace."""
        with self.route:
            os.close(self.fd)


class DevicePlace(NamedTuple):
    """A device, and the side that it is on."""

    side: Side
    device: NetworkDevice


DeviceKey = tuple[int, int]
"""The number of a side, and the index of a device there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """The switch side of a node's attachment to a network.

    Attributes:
        side: where the device is.
        index: of the device.
        bridge: index of the bridge that it is a port of; 0 where it is itself the interface of another node, at the
            other end of a cable.
        mac: of the node's interface.
        interface: name of the node's interface, inside the node.
        mtu: bytes of an IP packet.
        address, address6: that the plan gives the interface, of IPv4 and of IPv6; empty where it has none.
    """

    node: str
    network: str
    side: Side
    index: int
    bridge: int
    mac: str
    interface: str
    mtu: int
    address: str
    address6: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, of IPv4 first."""
        return tuple(address for address in (self.address, self.address6) if address)

    def __str__(self) -> str:
        return f"{self.node} on {self.network}"

    @property
    def place(self) -> tuple[str, str]:
        """What identifies the port, also after it has gone and come back: its node and network."""
        return self.node, self.network

    @property
    def key(self) -> DeviceKey:
        """What tells its device from others."""
        return self.side.number, self.index


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where a network meets the machine, which is the node `host`, and through it what is beyond, `internet`.

    Attributes:
        network: the network's name.
        index: of a device on the switch side: what is sent to it reaches the machine.
        bridge: index of the network's bridge.
        mac: that the machine sends with on the network, and is sent to.
        interface: name of the machine's interface.
        address: of the machine on the network.
        mtu: bytes of an IP packet.
        is_port: `index` is a port of the bridge, which all that goes to the machine passes. Otherwise the bridge itself
            is the machine's interface, and what nodes send to it is taken at their own ports.
    """

    network: str
    index: int
    bridge: int
    mac: str
    interface: str
    address: str
    mtu: int
    is_port: bool

    def port(self, node: str, side: Side) -> Port:
        """Return the port of a built-in node, on that side."""
        return Port(
            node=node,
            network=self.network,
            side=side,
            index=self.index,
            bridge=self.bridge,
            mac=self.mac,
            interface=self.interface,
            mtu=self.mtu,
            address=self.address,
        )


class AccessLine(NamedTuple):
    """Indexes of the devices between a port and the switch, see `access`: at the port, and at the switch."""

    inner: int
    outer: int
