"""Whose a port is: the process behind the other end of a veth device, and the container that it belongs to."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import switch
from testbed.agent.nodes import started

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.agent.switch import NetworkDevice

_PROC = Path("/proc")
_NAMED = Path("/run/netns")
_BALANCERS = Path("/run/docker/netns")

_IDENTITY = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
"""A container's id in the path of a cgroup: `/docker/ID`, `/system.slice/docker-ID.scope`."""


@dataclass(frozen=True, slots=True)
class PortOwner:
    """The network namespace behind a port.

    Attributes:
        interface: the device there.
        pids: by container, its first process there; `` is the key of a process that is in no container.
    """

    interface: NetworkDevice
    pids: Mapping[str, int]


def owner_of(side: int, port: NetworkDevice) -> PortOwner | None:
    """Whose a port is; None where no process is in the namespace of its other end, yet or any more.

    Args:
        side: file descriptor of the network namespace that the port is in.
        port: the device there.
    """
    by_namespace: defaultdict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile
                by_namespace[(entry / "ns/net").stat().st_ino].append(int(entry.name))
    # Who has just got a port has started lately.
    for pids in sorted(by_namespace.values(), key=max, reverse=True):
        with suppress(OSError):
            if interface := _other_end(side, port, Path(f"/proc/{pids[0]}/ns/net")):
                return PortOwner(interface, _by_container(pids))
    return None


def is_named(side: int, port: NetworkDevice) -> bool:
    """Whether the other end of a port is in a namespace that has a name (`ip netns`); see `owner_of`."""
    for path in _NAMED.glob("*"):
        with suppress(OSError):
            if _other_end(side, port, path):
                return True
    return False


def is_balancer(side: int, port: NetworkDevice) -> bool:
    """Whether a port of an overlay network is that of the machine's load balancer, where a Swarm's virtual IPs are.

    Its namespace, in which no process is, has a name that begins with `lb_`; see `owner_of`.
    """
    for path in _BALANCERS.glob("lb_*"):
        with suppress(OSError):
            if _other_end(side, port, path):
                return True
    return False


def _other_end(side: int, port: NetworkDevice, path: Path) -> NetworkDevice | None:
    network = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return switch.other_end(side, port, network)
    finally:
        os.close(network)


def _by_container(pids: list[int]) -> dict[str, int]:
    """The oldest process of each container among some processes."""
    found = []
    for pid in pids:
        with suppress(OSError):
            found.append((started(_PROC / str(pid)), pid, _container_of(pid)))
    return {container: pid for _, pid, container in sorted(found, reverse=True)}


def _container_of(pid: int) -> str:
    found = _IDENTITY.findall((_PROC / str(pid) / "cgroup").read_text("utf-8", "replace"))
    return found[-1] if found else ""
