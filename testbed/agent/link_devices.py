"""The devices of links on the switch side, each with an alias by which a lab's are found again."""

from __future__ import annotations

import errno
import itertools
import os
import zlib
from typing import TYPE_CHECKING

from testbed.agent import aliases, offloads, switch
from testbed.agent import device_requests as requests
from testbed.agent.netlink import RouteSocket
from testbed.engines.engine import VethPair
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from testbed.agent.messages import Tunnel
    from testbed.agent.netlink import Message
    from testbed.agent.switch import NetworkDevice

_DOOMED = 1
"""The group of far ends that are about to be deleted. The kernel waits for all processors once a deletion, however many
devices go with it, and in the namespaces of far ends groups are no one else's."""

_HIGH = 0xFE
"""The first byte of the MAC of a bridge's port: a bridge without a MAC of its own takes the lowest of its ports'."""

_FAR_ENDS_MOST = 512
"""In one namespace. Each has a packet socket, and the kernel looks at all packet sockets of a namespace whenever
something happens to a device in it (packet_notifier in net/packet/af_packet.c)."""


class LinkDevices:
    """Makes the devices of a lab, each with an alias by which it is found again.

    Args:
        lab: whose they are.
        switch: file descriptor of the namespace of the switch side.
        route: a netlink socket in it.
        home: file descriptor of the agent's own namespace, for the first far ends. Others are in further namespaces,
            which end with the agent too.
        numbers: of the devices' names, which differ also between those of several namespaces.
    """

    def __init__(
        self, lab: str, switch: int, route: RouteSocket, home: int, numbers: Iterator[int] | None = None
    ) -> None:
        self._lab = lab
        self._switch = switch
        self._route = route
        self._far: dict[
            int, tuple[int, int]
        ] = {}  # by index of the near end the namespace and the index of the far one
        self._far_networks: dict[int, int] = {home: 0}  # how many far ends are in each namespace
        self._numbers = numbers or itertools.count(1)

    def elsewhere(self, switch: int, route: RouteSocket) -> LinkDevices:
        """Return what makes devices on another switch side."""
        return LinkDevices(self._lab, switch, route, self.home, self._numbers)

    @property
    def home(self) -> int:
        """File descriptor of the agent's own namespace."""
        return next(iter(self._far_networks))

    def make_ifbs(self, wanted: Mapping[str, int]) -> list[NetworkDevice]:
        """Make devices that give back what is sent to them, when their queueing disciplines let it.

        Args:
            wanted: the MTU of each, by what it is for.

        Raises:
            OSError: the kernel's refusal; none is left behind.
        """
        names = {purpose: f"{self._new_name()}b" for purpose in wanted}
        messages: list[Message] = []
        try:
            for purpose, name in names.items():
                messages += [requests.new_ifb(name, wanted[purpose]), self._alias(name, purpose)]
            self._route.send(messages)
            made = [switch.named(self._route, name) for name in names.values()]
            requests.switch_on(self._route, made)
        except BaseException:
            self._delete_named(names.values())
            raise
        return made

    def make_pairs(self, wanted: Mapping[str, int]) -> list[VethPair]:
        """Make veth pairs: a device on the switch side, and its far end in a namespace of the agent's.

        Of the offloads only those are on with which a packet socket at the far end tells which packets a frame is.

        The far end goes when the agent does, and the near one with it: what would have crossed is dropped from then on.

        Args:
            wanted: the MTU of each, by what it is for.

        Raises:
            LabError: `offload-stays-on`; none is left behind.
            OSError: the kernel's refusal; none is left behind.
        """
        names, far_network = [self._new_name() for _ in wanted], self._far_network(len(wanted))
        near_names, far_names = [f"{name}i" for name in names], [f"{name}o" for name in names]
        messages: list[Message] = []
        try:
            for (purpose, mtu), near, far in zip(wanted.items(), near_names, far_names, strict=True):
                home = requests.in_namespace(far_network)
                messages += [requests.new_veth((near, far), mtu, peers=home), self._alias(near, purpose)]
            self._route.send(messages)
            sides = []
            for network, side in ((far_network, far_names), (self._switch, near_names)):
                offloads.switch_off(network, side, offloads.untellable())
                with namespaces.inside(network), RouteSocket() as route:
                    sides.append([switch.named(route, name) for name in side])
                    requests.switch_on(route, sides[-1])
        except BaseException:
            self._delete_named(near_names)
            raise
        pairs = [VethPair(near, far, far_network) for far, near in zip(*sides, strict=True)]
        self._far |= {pair.near.index: (far_network, pair.far.index) for pair in pairs}
        self._far_networks[far_network] += len(pairs)
        return pairs

    def _far_network(self, count: int) -> int:
        """Return a namespace that has room for so many far ends."""
        for network, present in self._far_networks.items():
            if present + count <= _FAR_ENDS_MOST or not present:
                return network
        network = namespaces.new_network()
        self._far_networks[network] = 0
        return network

    def make_bridge(self, purpose: str, mtu: int) -> NetworkDevice:
        """Make a bridge that is up and passes all multicast.

        Raises:
            OSError: the kernel's refusal; none is left behind.
        """
        name = f"{self._new_name()}w"
        try:
            self._route.send([requests.new_bridge(name, mtu), self._alias(name, purpose)])
            made = switch.named(self._route, name)
            requests.switch_on(self._route, [made])
        except BaseException:
            self._delete_named([name])
            raise
        return made

    def make_tunnel(self, purpose: str, mtu: int, tunnel: Tunnel, bridge: int) -> NetworkDevice:
        """Make a port of a bridge that leads to another machine, and switch it on.

        Raises:
            OSError: the kernel's refusal, `EEXIST` if the machine has a tunnel of that number; none is left behind.
        """
        name = f"{self._new_name()}v"
        self._route.send([requests.new_tunnel(name, mtu, tunnel, bridge=bridge)])
        try:
            self._route.send([self._alias(name, purpose)])
            made = switch.named(self._route, name)
            requests.switch_on(self._route, [made])
        except BaseException:
            self._delete_named([name])
            raise
        return made

    def make_line(self, purpose: str, mtu: int, bridge: int) -> tuple[int, int]:
        """Make a veth pair on the switch side, which is down; the second end is a port of the bridge.

        Raises:
            OSError: the kernel's refusal; none is left behind.
        """
        name = self._new_name()
        inner, outer = ends = f"{name}n", f"{name}s"
        try:
            self._route.send([requests.new_veth(ends, mtu), *(self._alias(end, purpose) for end in ends)])
            indexes = switch.named(self._route, inner).index, switch.named(self._route, outer).index
            self._route.send([requests.plug_in(indexes[1], bridge)])
        except BaseException:
            self._delete_named([inner])
            raise
        return indexes

    def mute(self, port: int) -> None:
        """Stop a bridge from sending to a port: it neither learns addresses there nor floods to it.

        Raises:
            OSError: the kernel's refusal.
        """
        self._route.send([requests.mute(port)])

    def make_port(
        self, purpose: str, mtu: int, bridge: int, inner: tuple[str, str, int], *, is_node: bool = True
    ) -> NetworkDevice:
        """Make a port of a bridge, which is down, with its other end in a node.

        Args:
            purpose: what it is for.
            mtu: bytes of an IP packet.
            bridge: index of the bridge; 0 for a device that is no bridge's port.
            inner: name and MAC of the interface in the node, and the file descriptor of the node's network namespace.
            is_node: at the other end; else it is the machine, or what is beyond it.

        Raises:
            OSError: the kernel's refusal; none is left behind.
        """
        name = f"{self._new_name()}p"
        interface, mac, network = inner
        peers = requests.with_mac(bytes.fromhex(mac.replace(":", ""))) + requests.in_namespace(network)
        new = requests.new_veth((name, interface), mtu, own=requests.at_bridge(bridge) if bridge else b"", peers=peers)
        try:
            self._route.send([new, self._alias(name, aliases.of_port(purpose) if is_node else purpose)])
            return switch.named(self._route, name)
        except BaseException:
            self._delete_named([name])
            raise

    def make_gateway(self, network: str, mtu: int, bridge: int, mac: str, machine: int) -> tuple[NetworkDevice, str]:
        """Make a port of a bridge, which is down, with its other end in the machine's namespace.

        Args:
            network: its name.
            mtu: bytes of an IP packet.
            bridge: index of the network's bridge.
            mac: of the machine's interface.
            machine: file descriptor of the machine's namespace.

        Returns:
            The port, and the name of the machine's interface, which is the lab's as the machine's other devices are.

        Raises:
            OSError: the kernel's refusal; none is left behind.
        """
        interface, purpose = f"{self._new_name()}m", f"gateway of {network}"
        port = self.make_port(purpose, mtu, bridge, (interface, mac, machine), is_node=False)
        with namespaces.inside(machine), RouteSocket() as route:
            route.send([self._alias(interface, purpose)])
        return port, interface

    def switch_on(self, devices: Sequence[NetworkDevice]) -> None:
        """Switch devices of the switch side on.

        Raises:
            OSError: the kernel's refusal.
        """
        requests.switch_on(self._route, devices)

    def switch_on_at(self, indexes: Iterable[int]) -> None:
        """As `switch_on`, of the devices with these indexes."""
        self.switch_on([device for index in indexes for device in switch.devices(self._route, index)])

    def make_entrance(self, bridge: int, mtu: int) -> int:
        """Make a veth pair on the switch side, whose other end is a port of a bridge; return the index of the first.

        What is sent to that device enters the bridge. The port learns no MAC, because those of nodes are at their own
        ports, and the bridge floods nothing to it. Both go with the bridge's lab.

        Raises:
            OSError: the kernel's refusal; none is left behind.
        """
        name = self._new_name()
        ends = f"{name}e", f"{name}p"
        high = requests.with_mac(bytes([_HIGH]) + os.urandom(5))
        try:
            self._route.send(
                [requests.new_veth(ends, mtu, peers=high), *(self._alias(end, "entrance") for end in ends)]
            )
            made = [switch.named(self._route, end) for end in ends]
            self._route.send([requests.plug_in(made[1].index, bridge), requests.mute(made[1].index)])
            requests.switch_on(self._route, made)
        except BaseException:
            self._delete_named(ends[:1])
            raise
        return made[0].index

    def delete(self, indexes: Iterable[int]) -> None:
        """Remove devices of the switch side, each of which may have gone already."""
        far = {index: self._far.pop(index, None) for index in indexes}
        single = [index for index, other in far.items() if other is None]
        paired: dict[int, list[int]] = {}
        for network, index in (other for other in far.values() if other is not None):
            paired.setdefault(network, []).append(index)
        self._route.send(requests.delete(single), tolerated=[errno.ENODEV])
        for network, doomed in paired.items():
            with namespaces.inside(network), RouteSocket() as route:
                route.send(requests.delete_group(doomed, _DOOMED), tolerated=[errno.ENODEV])
            self._far_networks[network] -= len(doomed)

    def _delete_named(self, names: Iterable[str]) -> None:
        self._route.send(requests.delete_named(names), tolerated=[errno.ENODEV])

    def _new_name(self) -> str:
        return f"tb{zlib.crc32(self._lab.encode()) & 0xFFFFFF:06x}{next(self._numbers):x}"

    def _alias(self, name: str, purpose: str) -> Message:
        return requests.alias(name, f"{aliases.of_lab(self._lab)}{purpose}")
