"""A stand-in for other machines, for the check: a network namespace at an address that this machine routes to.

    in: its port at the bridge of a network     what it sends to nodes there has the gateway's MAC, as all from outside
    out: its cable to the machine               what nodes send to its address comes through their gateway

So probes between the namespace and a node cross the links of `internet`, and none of them leaves the machine. Probes to
nodes bypass the machine's firewall, which would drop them because they belong to no connection.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Self

from testbed.agent import device_requests, neighbours, node_addresses, routes, switch
from testbed.agent.netlink import RouteSocket
from testbed.agent.nodes import NodeNamespaces
from testbed.linux import namespaces
from testbed.names import INTERNET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.agent.link_devices import LinkDevices
    from testbed.agent.ports import Gateway, Port

_LARGEST_MTU = 65535
_LOOPBACK = 1
_SETTINGS = {"ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0", "ipv6/conf/default/disable_ipv6": "1"}


@dataclass(slots=True, kw_only=True)
class Beyond:
    """The namespace beyond this machine.

    Attributes:
        node: the namespace, as the node `internet`.
        address: that it has.
    """

    node: NodeNamespaces
    address: str
    _outside: LinkDevices
    _out: int
    _ports: dict[str, tuple[LinkDevices, int]] = field(default_factory=dict)
    _interfaces: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, address: str, machine: int, devices: LinkDevices) -> Self:
        """Make the namespace, with its cable to the machine.

        Args:
            address: one that no node has; the machine has a route to it from then on.
            machine: file descriptor of the machine's namespace.
            devices: makes devices there.

        Raises:
            OSError: the kernel's refusal.
        """
        network = _quiet_network()
        mac = "02:42:" + IPv4Address(address).packed.hex(":")
        end = devices.make_port("beyond", _LARGEST_MTU, 0, ("out", mac, network), is_node=False)
        with namespaces.inside(network), RouteSocket() as there:
            index = switch.named(there, "out").index
            up = [device_requests.state(each, is_up=True) for each in (_LOOPBACK, index)]
            there.send([*up, node_addresses.addition(index, address, 32)])
        devices.switch_on([end])
        neighbours.set_permanent(machine, {end.name: {address: mac}})
        with namespaces.inside(machine), RouteSocket() as here:
            here.send([routes.on_link(address, end.index)])
        node = NodeNamespaces(name=INTERNET, network=network)
        return cls(node=node, address=address, _outside=devices, _out=end.index)

    def join(self, gateway: Gateway, devices: LinkDevices) -> None:
        """Add a port to the bridge of a network; the bridge neither learns MACs there nor floods to it.

        Args:
            gateway: of the network.
            devices: makes devices on the switch side.

        Raises:
            OSError: the kernel's refusal.
        """
        if gateway.network in self._ports:
            return
        name = f"in{len(self._ports)}"
        inner = (name, gateway.mac, self.node.network)
        port = devices.make_port(f"beyond {gateway.network}", gateway.mtu, gateway.bridge, inner, is_node=False)
        self._ports[gateway.network] = devices, port.index
        devices.mute(port.index)
        devices.switch_on([port])
        with namespaces.inside(self.node.network), RouteSocket() as there:
            there.send([device_requests.state(switch.named(there, name).index, is_up=True)])
        self._interfaces[gateway.network] = name

    def meet(self, ports: Iterable[Port]) -> None:
        """Learn where the nodes of these ports are now, so that packets to them go to their networks.

        Raises:
            OSError: the kernel's refusal.
        """
        known = [port for port in ports if port.network in self._interfaces]
        macs: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for port in known:
            macs[self._interfaces[port.network]][port.address] = port.mac
        neighbours.set_permanent(self.node.network, macs)
        with namespaces.inside(self.node.network), RouteSocket() as there:
            indexes = {name: switch.named(there, name).index for name in macs}
            ways = [(port.address, indexes[self._interfaces[port.network]]) for port in known]
            there.send([routes.on_link(address, index, source=self.address) for address, index in ways])

    def close(self) -> None:
        """Remove its ports and its cable; the namespace goes with the agent."""
        for devices, index in [*self._ports.values(), (self._outside, self._out)]:
            devices.delete([index])


def _quiet_network() -> int:
    """Make a network namespace that takes packets from any source."""
    network = namespaces.new_network()
    with namespaces.inside(network):
        for name, value in _SETTINGS.items():
            if (setting := Path("/proc/sys/net", name)).exists():
                setting.write_text(value, "ascii")
    return network
