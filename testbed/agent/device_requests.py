"""Netlink requests about devices: make, change, switch on and delete them. `link_devices` sends these.

See rtnetlink(7). A device is named in a request by its index or by its name.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from testbed.agent import switch
from testbed.agent.netlink import CREATE, EXCL, RouteSocket, attribute
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testbed.agent.messages import Tunnel
    from testbed.agent.netlink import Message
    from testbed.agent.switch import NetworkDevice

# include/uapi/linux/rtnetlink.h, if.h, if_link.h and veth.h
_NEW_LINK, _DEL_LINK, _SET_LINK = 16, 17, 19
_IFINFO = struct.Struct("=BxHiII")  # struct ifinfomsg
UP = 1  # IFF_UP
_ADDRESS, _NAME, _MTU, _MASTER, _INFO, _ALIAS, _AF_SPEC, _GROUP, _NAMESPACE_FD = 1, 3, 4, 10, 18, 20, 26, 27, 28
_BRIDGE_SNOOPING = 23  # IFLA_BR_MCAST_SNOOPING
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_BRIDGE_PORT_FLAGS = 8, 9, 27, 30  # IFLA_BRPORT_LEARNING, _UNICAST_FLOOD, _MCAST_FLOOD, _BCAST_FLOOD
_BRIDGE_PORT_FLUSH = 24  # IFLA_BRPORT_FLUSH
_SEND_QUEUES, _RECEIVE_QUEUES = 31, 32
_VXLAN_NUMBER, _VXLAN_REMOTE, _VXLAN_LEARNING, _VXLAN_PORT = 1, 2, 7, 15
_VETH_PEER = 1
_ADDRESS_GENERATION, _ADDRESS_GENERATION_OFF = 8, 1  # IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE

_ONE_QUEUE = b"".join(attribute(kind, struct.pack("=I", 1)) for kind in (_SEND_QUEUES, _RECEIVE_QUEUES))
"""A veth has a queue per processor unless told otherwise, and making one costs as much as the rest of the device."""


class Described(NamedTuple):
    """A device to make: its name, the number that is to be its index, and its MTU, bytes of an IP packet."""

    name: str
    number: int
    mtu: int


def new_ifb(name: str, mtu: int) -> Message:
    """Make a device that gives back what is sent to it."""
    return _NEW_LINK, CREATE | EXCL, _description(name, mtu) + _kind("ifb")


def new_bridge(name: str, mtu: int, *, number: int = 0, flags: int = 0) -> Message:
    """Make a bridge that passes all multicast; with the index and flags that are given, if need be."""
    data = attribute(_BRIDGE_SNOOPING, bytes([0]))
    return _NEW_LINK, CREATE | EXCL, _description(name, mtu, number, flags) + _kind("bridge", data)


def new_veth(names: tuple[str, str], mtu: int, *, own: bytes = b"", peers: bytes = b"") -> Message:
    """Make a veth pair.

    Args:
        names: of both ends.
        mtu: of both ends, bytes of an IP packet.
        own: further attributes of the first end, such as `at_bridge`.
        peers: further attributes of the second end.
    """
    name, peer = names
    return _veth(_description(name, mtu) + _ONE_QUEUE + own, _description(peer, mtu) + _ONE_QUEUE + peers)


def new_tunnel(name: str, mtu: int, tunnel: Tunnel, *, bridge: int) -> Message:
    """Make a port of a bridge that leads to another machine, a VXLAN, which is down. All that it sends goes there."""
    data = attribute(_VXLAN_NUMBER, struct.pack("=I", tunnel.number))
    data += attribute(_VXLAN_REMOTE, socket.inet_aton(tunnel.remote))
    data += attribute(_VXLAN_LEARNING, bytes([0])) + attribute(_VXLAN_PORT, struct.pack("!H", tunnel.port))
    return _NEW_LINK, CREATE | EXCL, _description(name, mtu) + at_bridge(bridge) + _kind("vxlan", data)


def new_cable(ends: tuple[Described, Described], *, bridge: int, mac: str, network: int) -> Message:
    """Make a port of a bridge, which is up, with its other end in a node, which is down.

    Args:
        ends: the port and the interface. Their indexes differ: on older kernels a device whose other end has its own
            index counts as one without another end.
        bridge: index of the bridge.
        mac: of the interface.
        network: file descriptor of the node's network namespace.
    """
    port, interface = ends
    peers = with_mac(bytes.fromhex(mac.replace(":", ""))) + in_namespace(network)
    near = _description(port.name, port.mtu, port.number, UP) + _ONE_QUEUE + at_bridge(bridge)
    return _veth(near, _description(interface.name, interface.mtu, interface.number) + _ONE_QUEUE + peers)


def _veth(near: bytes, far: bytes) -> Message:
    return _NEW_LINK, CREATE | EXCL, near + _kind("veth", attribute(_VETH_PEER, far))


def state(index: int, *, is_up: bool) -> Message:
    """Switch a device on or off."""
    return _SET_LINK, 0, _IFINFO.pack(socket.AF_UNSPEC, 0, index, UP * is_up, UP)


def at_bridge(index: int) -> bytes:
    """Return the attribute of a device that is a port of a bridge."""
    return attribute(_MASTER, struct.pack("=I", index))


def with_mac(mac: bytes) -> bytes:
    """Return the attribute of a device that has a certain MAC."""
    return attribute(_ADDRESS, mac)


def in_namespace(fd: int) -> bytes:
    """Return the attribute of a device that is in a certain network namespace."""
    return attribute(_NAMESPACE_FD, struct.pack("=I", fd))


def alias(name: str, text: str) -> Message:
    """Give the device of that name an alias."""
    return _SET_LINK, 0, _named(name) + attribute(_ALIAS, text.encode())


def plug_in(index: int, bridge: int) -> Message:
    """Make a device a port of a bridge."""
    return _SET_LINK, 0, _device(index) + at_bridge(bridge)


def mute(port: int) -> Message:
    """Set a port so that its bridge neither learns addresses there nor floods to it."""
    settings = b"".join(attribute(kind, bytes([0])) for kind in _BRIDGE_PORT_FLAGS)
    settings += attribute(_BRIDGE_PORT_FLUSH, b"")
    info = attribute(_INFO_SLAVE_KIND, b"bridge\0") + attribute(_INFO_SLAVE_DATA, settings)
    return _NEW_LINK, 0, _device(port) + attribute(_INFO, info)


def delete(indexes: Iterable[int]) -> list[Message]:
    """Delete devices; `ENODEV` if one has gone."""
    return [(_DEL_LINK, 0, _device(index)) for index in indexes]


def delete_named(names: Iterable[str]) -> list[Message]:
    """Delete the devices of these names; `ENODEV` if one has gone."""
    return [(_DEL_LINK, 0, _named(name)) for name in names]


def delete_group(indexes: Iterable[int], group: int) -> list[Message]:
    """Delete devices of one namespace all at once, by way of a group that no other device there is in."""
    number = attribute(_GROUP, struct.pack("=I", group))
    marked: list[Message] = [(_SET_LINK, 0, _device(index) + number) for index in indexes]
    return [*marked, (_DEL_LINK, 0, _device(0) + number)]


def switch_on(route: RouteSocket, devices: Sequence[NetworkDevice]) -> None:
    """Switch devices on without IPv6 addresses, so that the kernel sends nothing of its own through them.

    A device whose MTU is below IPv6's least, 1280 bytes, has no IPv6 at all, nor has any on a kernel without it.

    Raises:
        OSError: the kernel's refusal.
    """
    mode = attribute(_ADDRESS_GENERATION, bytes([_ADDRESS_GENERATION_OFF]))
    quiet = attribute(_AF_SPEC, attribute(socket.AF_INET6, mode))
    messages = [(_SET_LINK, 0, _device(device.index) + quiet) for device in devices]
    route.send(messages, tolerated=[errno.EAFNOSUPPORT])
    route.send([(_SET_LINK, 0, _device(device.index, UP)) for device in devices])


def switch_on_in(network: int, names: Iterable[str]) -> None:
    """Switch devices of another namespace on, without IPv6 addresses, as Docker does on networks without IPv6.

    Raises:
        OSError: the kernel's refusal.
    """
    with namespaces.inside(network), RouteSocket() as route:
        switch_on(route, [switch.named(route, name) for name in names])


def set_mtus(network: int, mtus: Mapping[str, int]) -> None:
    """Set the MTUs of devices of another namespace.

    Args:
        network: file descriptor of the namespace.
        mtus: bytes of an IP packet by the name of the device.

    Raises:
        OSError: the kernel's refusal.
    """
    if mtus:
        with namespaces.inside(network), RouteSocket() as route:
            route.send([(_SET_LINK, 0, _description(name, mtu)) for name, mtu in mtus.items()])


def _description(name: str, mtu: int, index: int = 0, flags: int = 0) -> bytes:
    """Return the head and the attributes of every new device; index 0 lets the kernel choose one."""
    named = attribute(_NAME, name.encode() + b"\0")
    return _device(index, flags) + named + attribute(_MTU, struct.pack("=I", mtu))


def _kind(name: str, data: bytes = b"") -> bytes:
    nested = attribute(_INFO_KIND, name.encode() + b"\0") + (attribute(_INFO_DATA, data) if data else b"")
    return attribute(_INFO, nested)


def _named(name: str) -> bytes:
    """Return the head of a request about the device of that name."""
    return _device(0) + attribute(_NAME, name.encode() + b"\0")


def _device(index: int, flags: int = 0) -> bytes:
    """Return the head of a request about a device; index 0 where its name tells which. `flags` are those to be set."""
    return _IFINFO.pack(socket.AF_UNSPEC, 0, index, flags, flags)
