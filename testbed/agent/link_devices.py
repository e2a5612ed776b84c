"""The devices of links on the switch side, each with an alias by which a lab's are found again."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
import zlib
from typing import TYPE_CHECKING

from testbed.agent import offloads, switch
from testbed.agent.netlink import CREATE, EXCL, RouteSocket, attribute
from testbed.engines.engine import Pair
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from testbed.agent.netlink import Message
    from testbed.agent.switch import Device

# include/uapi/linux/rtnetlink.h, if.h, if_link.h and veth.h
_NEW_LINK, _DEL_LINK, _SET_LINK = 16, 17, 19
_IFINFO = struct.Struct("=BxHiII")  # struct ifinfomsg
_UP = 1
_ADDRESS, _NAME, _MTU, _MASTER, _INFO, _ALIAS, _AF_SPEC, _GROUP, _NAMESPACE_FD = 1, 3, 4, 10, 18, 20, 26, 27, 28
_BRIDGE_SNOOPING = 23  # IFLA_BR_MCAST_SNOOPING
_INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 4, 5
_BRIDGE_PORT_FLAGS = 8, 9, 27, 30  # IFLA_BRPORT_LEARNING, _UNICAST_FLOOD, _MCAST_FLOOD, _BCAST_FLOOD
_BRIDGE_PORT_FLUSH = 24  # IFLA_BRPORT_FLUSH
_SEND_QUEUES, _RECEIVE_QUEUES = 31, 32
_ADDRESS, _MASTER, _BRIDGE_PORT, _NESTED = 1, 10, 12, 0x8000
_AF_BRIDGE = 7
_LEARNS, _GETS_UNICAST, _GETS_MULTICAST, _GETS_BROADCAST = 8, 9, 27, 30  # IFLA_BRPORT_LEARNING, ..._FLOOD
_HIGH = 0xFE
"""The first byte of the MAC of a bridge's port: a bridge without a MAC of its own takes the lowest of its ports'."""
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_ADDRESS_GENERATION, _ADDRESS_GENERATION_OFF = 8, 1  # IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE

_DOOMED = 1
"""The group of far ends that are about to be deleted. The kernel waits for all processors once a deletion, however many
devices go with it, and in the namespaces of far ends groups are no one else's."""

_FAR_ENDS_MOST = 512
"""In one namespace. Each has a packet socket, and the kernel looks at all packet sockets of a namespace whenever
something happens to a device in it (packet_notifier in net/packet/af_packet.c)."""


_ONE_QUEUE = b"".join(attribute(kind, struct.pack("=I", 1)) for kind in (_SEND_QUEUES, _RECEIVE_QUEUES))
"""A veth has a queue per processor unless told otherwise, and making one costs as much as the rest of the device."""


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
        """What makes devices on another switch side."""
        return LinkDevices(self._lab, switch, route, self.home, self._numbers)

    @property
    def home(self) -> int:
        """File descriptor of the agent's own namespace."""
        return next(iter(self._far_networks))

    def make_ifbs(self, wanted: Mapping[str, int]) -> list[Device]:
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
                body = _description(name, wanted[purpose]) + _kind("ifb")
                messages += [(_NEW_LINK, CREATE | EXCL, body), self._alias(name, purpose)]
            self._route.send(messages)
            made = [switch.named(self._route, name) for name in names.values()]
            _quietly_up(self._route, made)
        except BaseException:
            self._delete_named(names.values())
            raise
        return made

    def make_pairs(self, wanted: Mapping[str, int]) -> list[Pair]:
        """Make veth pairs: a device without offloads on the switch side, its far end in a namespace of the agent's.

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
                home = attribute(_NAMESPACE_FD, struct.pack("=I", far_network))
                kind = _kind("veth", attribute(_VETH_PEER, _description(far, mtu) + _ONE_QUEUE + home))
                messages += [
                    (_NEW_LINK, CREATE | EXCL, _description(near, mtu) + _ONE_QUEUE + kind),
                    self._alias(near, purpose),
                ]
            self._route.send(messages)
            sides = []
            for network, side in ((far_network, far_names), (self._switch, near_names)):
                offloads.switch_off(network, side, offloads.ALL)
                with namespaces.inside(network), RouteSocket() as route:
                    sides.append([switch.named(route, name) for name in side])
                    _quietly_up(route, sides[-1])
        except BaseException:
            self._delete_named(near_names)
            raise
        pairs = [Pair(near, far, far_network) for far, near in zip(*sides, strict=True)]
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

    def make_bridge(self, purpose: str, mtu: int) -> Device:
        """Make a bridge that is up and passes all multicast.

        Raises:
            OSError: the kernel's refusal; none is left behind.
        """
        name = f"{self._new_name()}w"
        data = attribute(_BRIDGE_SNOOPING, bytes([0]))
        try:
            self._route.send(
                [
                    (_NEW_LINK, CREATE | EXCL, _description(name, mtu) + _kind("bridge", data)),
                    self._alias(name, purpose),
                ]
            )
            made = switch.named(self._route, name)
            _quietly_up(self._route, [made])
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
        inner, outer = f"{name}n", f"{name}s"
        kind = _kind("veth", attribute(_VETH_PEER, _description(outer, mtu) + _ONE_QUEUE))
        try:
            self._route.send(
                [
                    (_NEW_LINK, CREATE | EXCL, _description(inner, mtu) + _ONE_QUEUE + kind),
                    *(self._alias(each, purpose) for each in (inner, outer)),
                ]
            )
            ends = switch.named(self._route, inner).index, switch.named(self._route, outer).index
            self._route.send([(_SET_LINK, 0, _device(ends[1]) + attribute(_MASTER, struct.pack("=I", bridge)))])
        except BaseException:
            self._delete_named([inner])
            raise
        return ends

    def mute(self, port: int) -> None:
        """Have a bridge send nothing to a port: neither learn addresses there nor flood to it.

        Raises:
            OSError: the kernel's refusal.
        """
        settings = b"".join(attribute(kind, bytes([0])) for kind in _BRIDGE_PORT_FLAGS)
        settings += attribute(_BRIDGE_PORT_FLUSH, b"")
        info = attribute(_INFO_SLAVE_KIND, b"bridge\0") + attribute(_INFO_SLAVE_DATA, settings)
        self._route.send([(_NEW_LINK, 0, _device(port) + attribute(_INFO, info))])

    def make_port(self, purpose: str, mtu: int, bridge: int, inner: tuple[str, str, int]) -> Device:
        """Make a port of a bridge, which is down, with its other end in a node.

        Args:
            purpose: what it is for.
            mtu: bytes of an IP packet.
            bridge: index of the bridge.
            inner: name and MAC of the interface in the node, and the file descriptor of the node's network namespace.

        Raises:
            OSError: the kernel's refusal; none is left behind.
        """
        name = f"{self._new_name()}p"
        interface, mac, network = inner
        peer = _description(interface, mtu) + attribute(_ADDRESS, bytes.fromhex(mac.replace(":", "")))
        peer += _ONE_QUEUE + attribute(_NAMESPACE_FD, struct.pack("=I", network))
        kind = _kind("veth", attribute(_VETH_PEER, peer))
        master = attribute(_MASTER, struct.pack("=I", bridge))
        try:
            body = _description(name, mtu) + _ONE_QUEUE + master + kind
            self._route.send([(_NEW_LINK, CREATE | EXCL, body), self._alias(name, f"{_PORT}{purpose}")])
            return switch.named(self._route, name)
        except BaseException:
            self._delete_named([name])
            raise

    def switch_on(self, devices: Sequence[Device]) -> None:
        """Switch devices of the switch side on.

        Raises:
            OSError: the kernel's refusal.
        """
        _quietly_up(self._route, devices)

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
        near, port = f"{name}e", f"{name}p"
        address = attribute(_ADDRESS, bytes([_HIGH]) + os.urandom(5))
        kind = _kind("veth", attribute(_VETH_PEER, _description(port, mtu) + _ONE_QUEUE + address))
        no = bytes(1)
        apart = b"".join(attribute(flag, no) for flag in (_LEARNS, _GETS_UNICAST, _GETS_MULTICAST, _GETS_BROADCAST))
        try:
            self._route.send(
                [
                    (_NEW_LINK, CREATE | EXCL, _description(near, mtu) + _ONE_QUEUE + kind),
                    *(self._alias(each, "entrance") for each in (near, port)),
                    (_SET_LINK, 0, _named(port) + attribute(_MASTER, struct.pack("=I", bridge))),
                ]
            )
            made = [switch.named(self._route, each) for each in (near, port)]
            head = _IFINFO.pack(_AF_BRIDGE, 0, made[1].index, 0, 0)
            self._route.send([(_SET_LINK, 0, head + attribute(_BRIDGE_PORT | _NESTED, apart))])
            _quietly_up(self._route, made)
        except BaseException:
            self._delete_named([near])
            raise
        return made[0].index

    def delete(self, indexes: Iterable[int]) -> None:
        """Remove devices of the switch side, each of which may have gone already."""
        far = {index: self._far.pop(index, None) for index in indexes}
        single = [index for index, other in far.items() if other is None]
        paired: dict[int, list[int]] = {}
        for network, index in (other for other in far.values() if other is not None):
            paired.setdefault(network, []).append(index)
        self._route.send([(_DEL_LINK, 0, _device(index)) for index in single], tolerated=[errno.ENODEV])
        group = attribute(_GROUP, struct.pack("=I", _DOOMED))
        for network, doomed in paired.items():
            marked: list[Message] = [(_SET_LINK, 0, _device(index) + group) for index in doomed]
            with namespaces.inside(network), RouteSocket() as route:
                route.send([*marked, (_DEL_LINK, 0, _device(0) + group)], tolerated=[errno.ENODEV])
            self._far_networks[network] -= len(doomed)

    def _delete_named(self, names: Iterable[str]) -> None:
        messages = [(_DEL_LINK, 0, _named(name)) for name in names]
        self._route.send(messages, tolerated=[errno.ENODEV])

    def _new_name(self) -> str:
        return f"tb{zlib.crc32(self._lab.encode()) & 0xFFFFFF:06x}{next(self._numbers):x}"

    def _alias(self, name: str, purpose: str) -> Message:
        text = f"{alias(self._lab)}{purpose}".encode()
        return _SET_LINK, 0, _named(name) + attribute(_ALIAS, text)


def _description(name: str, mtu: int) -> bytes:
    """Return the attributes of every new device."""
    return _named(name) + attribute(_MTU, struct.pack("=I", mtu))


def _kind(name: str, data: bytes = b"") -> bytes:
    nested = attribute(_INFO_KIND, name.encode() + b"\0") + (attribute(_INFO_DATA, data) if data else b"")
    return attribute(_INFO, nested)


def _named(name: str) -> bytes:
    """The head of a request about the device of that name."""
    return _device(0) + attribute(_NAME, name.encode() + b"\0")


def _device(index: int, flags: int = 0) -> bytes:
    """The head of a request about a device; index 0 where its name tells which. `flags` are those to be set."""
    return _IFINFO.pack(socket.AF_UNSPEC, 0, index, flags, flags)


def _quietly_up(route: RouteSocket, devices: Sequence[Device]) -> None:
    """Switch devices on without IPv6 addresses, so that the kernel sends nothing of its own through them.

    A device whose MTU is below IPv6's least, 1280 bytes, has no IPv6 at all, nor has any on a kernel without it.
    """
    mode = attribute(_ADDRESS_GENERATION, bytes([_ADDRESS_GENERATION_OFF]))
    quiet = attribute(_AF_SPEC, attribute(socket.AF_INET6, mode))
    messages = [(_SET_LINK, 0, _device(device.index) + quiet) for device in devices]
    route.send(messages, tolerated=[errno.EAFNOSUPPORT])
    route.send([(_SET_LINK, 0, _device(device.index, _UP)) for device in devices])


def switch_on_in(network: int, names: Iterable[str]) -> None:
    """Switch devices of another namespace on, without IPv6 addresses, as Docker does on networks without IPv6.

    Raises:
        OSError: the kernel's refusal.
    """
    with namespaces.inside(network), RouteSocket() as route:
        _quietly_up(route, [switch.named(route, name) for name in names])


_ALIASES = "testbed "
_PORT = "port of "


def alias(lab: str) -> str:
    """Return the beginning of the alias of every device of a lab."""
    return f"{_ALIASES}{lab} "


def carries_links(device: Device) -> bool:
    """Whether a lab's agent, of this lab or another, made a device for links, not as the port of a node."""
    _, _, purpose = device.alias.removeprefix(_ALIASES).partition(" ")
    return device.alias.startswith(_ALIASES) and not purpose.startswith(_PORT)


def sweep(route: RouteSocket, lab: str) -> int:
    """Remove the devices that a killed agent left in the machine's namespace, and return their number."""
    left = [device.index for device in switch.devices(route) if device.alias.startswith(alias(lab))]
    route.send([(_DEL_LINK, 0, _device(index)) for index in left], tolerated=[errno.ENODEV])
    return len(left)
