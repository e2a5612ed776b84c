"""Where networks meet the machine: the ends `host` and `internet` of links.

Docker's bridges are interfaces of the machine. What the machine sends reaches a node through the node's port, with the
bridge's MAC, as from any other node. What a node sends to the machine never leaves by a port: the bridge hands it up.
So it is taken at the node's own port, by the MAC that it goes to, and a link gives it back through an "entrance": a
veth pair whose other end is a port of the bridge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.agent import switch
from testbed.agent.netlink import RouteSocket
from testbed.agent.nodes import Node
from testbed.agent.ports import Port
from testbed.errors import LabError
from testbed.linux import namespaces
from testbed.names import HOST

if TYPE_CHECKING:
    from testbed.agent.link_devices import LinkDevices
    from testbed.agent.ports import Side


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
        """What a built-in node has for a port, on that side."""
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


@dataclass(slots=True)
class Gateways:
    """The gateways of networks that have links with the machine, or a way out.

    Attributes:
        by_network: by the network's name.
        machine: the machine, as a node; None as long as there is no gateway.
    """

    by_network: dict[str, Gateway] = field(default_factory=dict)
    machine: Node | None = None

    def __contains__(self, network: object) -> bool:
        return network in self.by_network

    def __getitem__(self, network: str) -> Gateway:
        return self.by_network[network]

    def get(self, network: str) -> Gateway | None:
        """The gateway of a network; None where it has none."""
        return self.by_network.get(network)

    def local_addresses(self) -> frozenset[str]:
        """The addresses of the machine: what comes from them, or goes to them, is a packet of `host`."""
        if self.machine is None:
            return frozenset()
        with namespaces.inside(self.machine.network), RouteSocket() as route:
            return switch.local_addresses(route)

    def meet(self, network: str, bridge: int, route: RouteSocket, machine: int, devices: LinkDevices) -> None:
        """Have a gateway where the bridge of a network is an interface of the machine, as Docker's bridges are.

        Args:
            network: the network's name.
            bridge: its index.
            route: a netlink socket in the machine's namespace.
            machine: file descriptor of that.
            devices: makes the entrance.

        Raises:
            LabError: `no-gateway`, the machine has no address there.
            OSError: the kernel's refusal.
        """
        if network in self:
            return
        addresses = [address for at, address, _ in switch.ipv4_addresses(route) if at == bridge]
        if not addresses:
            hint = "Docker gives it none on an internal network: set internal: false"
            raise LabError("no-gateway", f"this machine has no address on network {network}", hint)
        (device,) = switch.devices(route, bridge)
        entrance = devices.make_entrance(bridge, device.mtu)
        (device,) = switch.devices(route, bridge)  # its MAC may be another now
        self.machine = Node(name=HOST, network=machine)
        self.by_network[network] = Gateway(
            network=network,
            index=entrance,
            bridge=bridge,
            mac=device.mac,
            interface=device.name,
            address=addresses[0],
            mtu=device.mtu,
            is_port=False,
        )

    def close(self, devices: LinkDevices) -> None:
        """Remove what `meet` has made."""
        devices.delete([gateway.index for gateway in self.by_network.values() if not gateway.is_port])
        self.by_network.clear()
