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
from testbed.agent.beyond import Beyond
from testbed.agent.netlink import RouteSocket
from testbed.agent.nodes import NodeNamespaces
from testbed.agent.ports import Gateway
from testbed.errors import LabError
from testbed.linux import namespaces
from testbed.names import HOST, INTERNET

if TYPE_CHECKING:
    from testbed.agent.link_devices import LinkDevices


@dataclass(slots=True)
class Gateways:
    """The gateways of networks that have links with the machine, or a way out.

    Attributes:
        by_network: by the network's name.
        machine: the machine, as a node; None as long as there is no gateway.
        beyond: where probes of links with `internet` begin and end; None as long as there is no such link.
    """

    by_network: dict[str, Gateway] = field(default_factory=dict)
    machine: NodeNamespaces | None = None
    beyond: Beyond | None = None

    def __contains__(self, network: object) -> bool:
        return network in self.by_network

    def __getitem__(self, network: str) -> Gateway:
        return self.by_network[network]

    def get(self, network: str) -> Gateway | None:
        """The gateway of a network; None where it has none."""
        return self.by_network.get(network)

    def node(self, name: str) -> NodeNamespaces | None:
        """The node that a built-in name stands for; None where there is none yet."""
        return self.beyond.node if name == INTERNET and self.beyond else self.machine

    def local_addresses(self) -> frozenset[str]:
        """The addresses of the machine: what comes from them, or goes to them, is a packet of `host`."""
        if self.machine is None:
            return frozenset()
        with namespaces.inside(self.machine.network), RouteSocket() as route:
            return switch.local_addresses(route)

    def meet(self, network: str, bridge: int, route: RouteSocket, machine: int, devices: LinkDevices) -> None:
        """Add a gateway where the bridge of a network is an interface of the machine, as Docker's bridges are.

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
        self.machine = NodeNamespaces(name=HOST, network=machine)
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

    def reach_beyond(self, network: str, address: str, devices: LinkDevices) -> None:
        """Put other machines, the end `internet`, behind the gateway of a network.

        Args:
            network: the network's name.
            address: of what is beyond.
            devices: makes devices on the switch side.

        Raises:
            OSError: the kernel's refusal.
        """
        gateway, machine = self.by_network[network], self.machine
        assert machine  # noqa: S101  # there is a gateway
        if self.beyond is None:
            outside = devices
            if gateway.is_port:
                with namespaces.inside(machine.network):
                    outside = devices.elsewhere(machine.network, RouteSocket())
            self.beyond = Beyond.open(address, machine.network, outside)
        self.beyond.join(gateway, devices)

    def close(self, devices: LinkDevices) -> None:
        """Remove what `meet` and `reach_beyond` have made."""
        if self.beyond:
            self.beyond.close()
        devices.delete([gateway.index for gateway in self.by_network.values() if not gateway.is_port])
        self.by_network.clear()
