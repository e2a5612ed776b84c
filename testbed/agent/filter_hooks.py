"""The hooks of a port that filters are attached to: the qdisc clsact, or the older ingress."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from testbed.agent import u32
from testbed.agent.netlink import CREATE, EXCL, ROOT_MATCH, attribute, attributes

if TYPE_CHECKING:
    from testbed.agent.netlink import RouteSocket

# include/uapi/linux/rtnetlink.h and pkt_sched.h
_NEW_QDISC, _DEL_QDISC, _GET_QDISC = 36, 37, 38
_CLSACT, _CLSACT_HANDLE = 0xFFFF_FFF1, 0xFFFF_0000


class Hooks(NamedTuple):
    """What is attached to a device's hooks.

    Attributes:
        qdisc: what provides them, `clsact` or `ingress`; None where nothing does.
        ingress, egress: whether filters are attached to that hook.
    """

    qdisc: str | None
    ingress: bool
    egress: bool


def hooks(route: RouteSocket, device: int) -> Hooks:
    """Return what is attached to the hooks of the device with that index.

    Raises:
        OSError: there is no such device any more.
    """
    listed = route.ask((_GET_QDISC, ROOT_MATCH, u32.TCMSG.pack(socket.AF_UNSPEC, device, 0, 0, 0)))
    kinds = [
        attributes(body[u32.TCMSG.size :])[u32.KIND].rstrip(b"\0").decode()
        for body in listed
        if u32.TCMSG.unpack_from(body)[1:3] == (device, _CLSACT_HANDLE)
    ]
    filtered = [
        bool(kinds and route.ask((u32.GET_FILTER, ROOT_MATCH, u32.TCMSG.pack(socket.AF_UNSPEC, device, 0, hook, 0))))
        for hook in (u32.INGRESS, u32.EGRESS)
    ]
    return Hooks(kinds[0] if kinds else None, *filtered)


def remove(route: RouteSocket, port: int, *, with_hook: bool) -> None:
    """Remove all that a `PortFilters`, also of another process, has attached to a port; the port may have gone.

    Args:
        route: a netlink socket in the namespace of the port.
        port: index of the device.
        with_hook: the port had no hook before. It stays nevertheless if somebody else has hung filters on it.

    Raises:
        OSError: the kernel's refusal.
    """
    gone = (errno.ENODEV, errno.ENOENT, errno.EINVAL)
    route.send([(u32.DELETE_FILTER, 0, u32.message(port, 0, place=place)) for place in u32.PLACES], tolerated=gone)
    if with_hook:
        try:
            found = hooks(route, port)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            raise
        if not found.ingress and not found.egress:
            body = u32.TCMSG.pack(socket.AF_UNSPEC, port, _CLSACT_HANDLE, _CLSACT, 0)
            route.send([(_DEL_QDISC, 0, body)], tolerated=gone)


def add_hook(route: RouteSocket, port: int) -> None:
    """Give a port the hook that rules are attached to, unless it has it.

    Raises:
        OSError: the kernel's refusal.
    """
    body = u32.TCMSG.pack(socket.AF_UNSPEC, port, _CLSACT_HANDLE, _CLSACT, 0)
    with suppress(FileExistsError):
        route.send([(_NEW_QDISC, CREATE | EXCL, body + attribute(u32.KIND, b"clsact\0"))])
