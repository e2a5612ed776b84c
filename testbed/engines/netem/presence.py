"""Whether this kernel has netem, asked without what the engine needs to work.

The libraries of the engine take an agent longer to import than all else together, in vain where there is no netem.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from importlib import import_module
from typing import TYPE_CHECKING

from testbed.engines.engine import EngineAvailability, Verdict
from testbed.errors import LabError, MachineError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from testbed.engines.counters import Counters
    from testbed.engines.engine import Engine, NewLink, Switch
    from testbed.impairments import Impairments

# include/uapi/linux/rtnetlink.h, netlink.h and pkt_sched.h
_NEW_QDISC, _REQUEST, _ACK, _EXCL, _CREATE = 36, 0x01, 0x04, 0x200, 0x400
_KIND, _ROOT = 1, 0xFFFF_FFFF
_HEADER, _TCMSG = struct.Struct("=IHHII"), struct.Struct("=BxxxiIII")
_LOOPBACK = 1
_RECEIVE_BYTES = 1 << 12


def engine(switch: Switch) -> Engine:
    """Return the engine for the links of one lab; where the kernel has no netem, one that says so."""
    if missing := _missing(switch.home):
        return _Absent(missing)
    found: Engine = import_module("testbed.engines.netem.engine").NetemEngine(switch)
    return found


def missing_module(module: str, said: str) -> MachineError:
    """Return the error for a module that this kernel does not have, with what it said."""
    return MachineError(
        "netem-missing",
        f"this kernel has no {module}: {said}",
        f"load it by `modprobe {module}`; it is in the package linux-modules-extra-$(uname -r) on Ubuntu, "
        "kernel-modules-extra on Fedora, the kernel's own on Debian; `engine: userspace` needs none",
    )


def _missing(network: int) -> MachineError | None:
    """Return why a kernel has no netem; None if it may have it.

    The loopback of a namespace of ours is offered a netem without its parameters, which no kernel takes: one that has
    netem calls them invalid (net/sched/sch_netem.c, `netem_init`), any other one knows no such kind.
    """
    kind = b"netem\0"
    padded = struct.pack("=HH", len(kind) + 4, _KIND) + kind + bytes(-len(kind) % 4)
    body = _TCMSG.pack(socket.AF_UNSPEC, _LOOPBACK, 0, _ROOT, 0) + padded
    request = _HEADER.pack(_HEADER.size + len(body), _NEW_QDISC, _REQUEST | _ACK | _CREATE | _EXCL, 1, 0) + body
    with namespaces.inside(network):
        route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    with route:
        route.send(request)
        (number,) = struct.unpack_from("=i", route.recv(_RECEIVE_BYTES), _HEADER.size)
    return missing_module("sch_netem", os.strerror(errno.ENOENT)) if -number == errno.ENOENT else None


class _Absent:
    """The engine on a kernel without netem: it carries nothing."""

    needs_single_packets = True

    def __init__(self, missing: MachineError) -> None:
        self._missing = missing

    async def probe(self) -> EngineAvailability:
        """See `testbed.engines.engine.Engine.probe`."""
        return EngineAvailability(description="", missing=self._missing)

    def judge(self, impairments: Impairments, *, mtu: int) -> Verdict:  # noqa: ARG002  # the protocol's
        """Return that nothing is possible."""
        return Verdict(impossible=self._missing.message)

    async def prepare(self, links: int) -> None:
        """Do nothing."""

    async def attach(self, links: Sequence[NewLink]) -> list[int]:
        """Refuse."""
        raise LabError("netem-engine-refused", f"{len(links)} links: {self._missing.message}")

    async def apply(self, link: str, impairments: Impairments) -> None:  # noqa: ARG002  # the protocol's
        """Refuse."""
        raise LabError("netem-engine-refused", f"link {link} is not impaired here")

    async def restart(self, links: Sequence[str], origin_ns: int | None = None) -> None:
        """Do nothing: it has no links."""

    async def counters(self, links: Collection[str] | None = None) -> dict[str, Counters]:  # noqa: ARG002
        """Return no links."""
        return {}

    def dead(self) -> dict[str, str]:
        """Return no links."""
        return {}

    async def detach(self, links: Sequence[str]) -> None:
        """Do nothing: it has no links."""

    async def close(self) -> None:
        """Do nothing: it has no links."""
