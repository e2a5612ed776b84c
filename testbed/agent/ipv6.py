"""IPv6 on interfaces of nodes, which the agent switches on, and on bridges, where it switches it off.

It is the agent's work in both runtimes. A Docker network with IPv6 would do the same in nodes, but more on the machine:
the Docker Engine makes the machine a router for IPv6 (which then ignores router advertisements), gives it addresses on
the bridge, also of an internal network, and nodes a default route to there.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import switch
from testbed.agent.netlink import CREATE, REPLACE, ROOT_MATCH, RouteSocket, attribute
from testbed.errors import LabError, MachineError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from testbed.agent.messages import PresentInterface
    from testbed.agent.netlink import Message
    from testbed.agent.nodes import NodeNamespaces

_SETTINGS = Path("/proc/sys")
_CONF = Path("net/ipv6/conf")

_QUIET = {"accept_ra": "0", "autoconf": "0", "use_tempaddr": "0", "router_solicitations": "0", "accept_dad": "0"}
"""What keeps an interface from having addresses and routes that are not the plan's, and from sending packets by itself.

Duplicate address detection (`accept_dad`) would keep addresses from being used for a second or two (RFC 4862, 5.4); a
plan has no duplicates. Its settings come before IPv6 is on (Documentation/networking/ip-sysctl.rst)."""

# include/uapi/linux/rtnetlink.h and if_addr.h
_NEW_ADDRESS, _DEL_ADDRESS, _GET_ADDRESS = 20, 21, 22
_ADDRESS, _LOCAL = 1, 2
_IFADDR = struct.Struct("=BBBBI")  # struct ifaddrmsg
_NO_DAD = 0x02


def enable(interfaces: Iterable[str], settings: Path = _SETTINGS) -> None:
    """Switch IPv6 on at interfaces of the current network namespace, and at its loopback.

    Each interface has a link-local address by its MAC (RFC 4291, appendix A) from then on.

    Args:
        interfaces: their names.
        settings: path of /proc/sys.

    Raises:
        MachineError: `no-ipv6`.
        LabError: `ipv6-refused`.
    """
    conf = settings / _CONF
    if not conf.exists():
        raise MachineError("no-ipv6", "this kernel has no IPv6, or it is switched off", "boot without ipv6.disable=1")
    for interface in interfaces:
        for name, value in _QUIET.items():
            _set(conf / interface / name, value)
        _set(conf / interface / "disable_ipv6", "0")
    _set(conf / "lo" / "disable_ipv6", "0")


def disable(device: str) -> None:
    """Switch IPv6 off at a device of the current network namespace: it has no address, and takes in no packets.

    Raises:
        LabError: `ipv6-refused`.
    """
    if (conf := _SETTINGS / _CONF).exists():
        _set(conf / device / "disable_ipv6", "1")


def assign(node: NodeNamespaces, interfaces: Mapping[str, PresentInterface]) -> None:
    """Give interfaces that a container runtime has made their IPv6 addresses.

    Interfaces on networks with IPv6 only lose the IPv4 addresses that the runtime gave them.

    Args:
        node: whose they are.
        interfaces: by the names that they have now.

    Raises:
        MachineError: `no-ipv6`.
        LabError: `ipv6-refused`.
    """
    wanted = {name: interface for name, interface in interfaces.items() if interface.address6}
    if not wanted:
        return
    try:
        with namespaces.inside(node.network):
            enable(wanted)
            with RouteSocket() as route:
                by_index = {switch.named(route, name).index: interface for name, interface in wanted.items()}
                route.send([_addition(index, interface) for index, interface in by_index.items()])
                without = {index for index, interface in by_index.items() if not interface.address}
                route.send(list(_removals(route, without)))
    except OSError as error:
        message = f"node {node.name}: the kernel refuses an IPv6 address: {error.strerror}"
        raise LabError("ipv6-refused", message) from None


def _addition(index: int, interface: PresentInterface) -> Message:
    packed = ipaddress.ip_address(interface.address6).packed
    body = _IFADDR.pack(socket.AF_INET6, interface.prefix_length6, _NO_DAD, 0, index)
    return _NEW_ADDRESS, CREATE | REPLACE, body + attribute(_LOCAL, packed) + attribute(_ADDRESS, packed)


def _removals(route: RouteSocket, indexes: set[int]) -> Iterator[Message]:
    """Yield the messages that remove all IPv4 addresses of some devices."""
    for body in route.ask((_GET_ADDRESS, ROOT_MATCH, _IFADDR.pack(socket.AF_INET, 0, 0, 0, 0))):
        if _IFADDR.unpack_from(body)[4] in indexes:
            yield _DEL_ADDRESS, 0, body


def _set(setting: Path, value: str) -> None:
    try:
        if setting.read_text("ascii").strip() != value:
            setting.write_text(value, "ascii")
    except OSError as error:
        what = f"net.ipv6.conf.{setting.parent.name}.{setting.name}={value}"
        raise LabError("ipv6-refused", f"the kernel refuses {what}: {error.strerror}") from None
