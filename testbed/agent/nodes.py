"""Nodes: namespaces made here, or those of a container, which may be restarted while the lab is up."""

from __future__ import annotations

import os
import select
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import switch
from testbed.agent.messages import FoundAddress, Surroundings
from testbed.agent.netlink import RouteSocket
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.agent.switch import NetworkDevice


_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class LabFile:
    """A file of the lab that a node sees in place of the machine's; it is written when the first process needs it.

    A thousand nodes that know each other have a million lines, and most labs of this size run commands in a few nodes.

    Attributes:
        path: where it is.
        own: its text.
        shared: what follows, in which lines about the node itself are left out.
        name: of the node.
    """

    path: Path
    own: str
    shared: str = ""
    name: str = ""

    def write(self) -> None:
        """Write it, unless it is there: what the node has changed in it stays."""
        if not self.path.exists():
            own_end = f" {self.name}\n"
            others = [line for line in self.shared.splitlines(keepends=True) if not line.endswith(own_end)]
            self.path.write_text("".join((self.own, *others)), "utf-8")


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class NodeNamespaces:
    """The namespaces, cgroups and files that processes of a node have.

    Attributes:
        network: file descriptor of the network namespace.
        hosts: the file mounted at /etc/hosts, if any.
        resolver: the file mounted at /etc/resolv.conf, if any.
        surroundings: what else commands have; Docker sees to that of containers.
        cgroups: the `cgroup.procs` files of the node's limits.
        environment: variables of every command in the node.
        directory: where commands start.
        container: id of the container that the node is; empty where it is none.
        first_process: file descriptor (pidfd_open(2)) of the container's first process.
        pid: of that process; 0 where there is none.
        path: of an attached network namespace; empty for other nodes. The agent lets go of the namespace when the path
            no longer leads there; `network` is -1 then.
        is_awaited: it is a container that has not started yet, so that it has no namespaces.
    """

    name: str
    network: int
    hosts: LabFile | None = None
    resolver: LabFile | None = None
    surroundings: Surroundings = field(default_factory=Surroundings)
    cgroups: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    container: str = ""
    first_process: int = -1
    pid: int = 0
    path: str = ""
    is_awaited: bool = False

    @property
    def number(self) -> int:
        """The inode of the network namespace, which tells it from others; 0 where the agent has let go of it."""
        return os.fstat(self.network).st_ino if self.network >= 0 else 0

    @property
    def is_held(self) -> bool:
        """Whether it is an attached network namespace that can't go because the agent holds it."""
        return bool(self.path) and self.network >= 0

    @property
    def end(self) -> str:
        """How the node ended, if it `has_ended`."""
        return f"its network namespace {self.path} has gone" if self.path else "its container has ended"

    @property
    def has_ended(self) -> bool:
        """Whether the node is a container that does not run, or a namespace that is not at its path any more."""
        if self.path:
            try:
                return Path(self.path).stat().st_ino != self.number
            except OSError:
                return True
        if self.first_process < 0:
            return self.is_awaited
        poll = select.poll()
        poll.register(self.first_process, select.POLLIN)
        return bool(poll.poll(0))

    def incarnations(self) -> Iterator[NodeNamespaces]:
        """The node as it may be now: as it is known and, of a container, as each of its processes sees it."""
        if not self.has_ended:
            yield self
        if self.path:
            with suppress(OSError):
                yield of_namespace(self.name, self.path)
        for pid in processes_of(self.container) if self.container else ():
            with suppress(OSError):
                yield of_process(self.name, pid, limited=bool(self.cgroups), container=self.container)


def of_process(name: str, pid: int, *, limited: bool, container: str) -> NodeNamespaces:
    """Return the node that a process of a container is in.

    Raises:
        OSError: there is no such process any more.
    """
    first_process = os.pidfd_open(pid)
    try:
        network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        cgroups = _cgroups(pid) if limited else ()
    except BaseException:
        os.close(first_process)
        raise
    node = NodeNamespaces(
        name=name, network=network, cgroups=cgroups, container=container, first_process=first_process, pid=pid
    )
    for fd in (network, first_process):
        weakref.finalize(node, os.close, fd)  # a container that is restarted is another `NodeNamespaces`
    return node


def of_namespace(name: str, path: str) -> NodeNamespaces:
    """Return the node for an attached network namespace.

    Raises:
        OSError: there is none at that path.
    """
    network = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    node = NodeNamespaces(name=name, network=network, path=path)
    weakref.finalize(node, os.close, network)
    return node


def let_go(node: NodeNamespaces) -> NodeNamespaces:
    """Return the node without its network namespace, which can end once the agent does not hold it."""
    return NodeNamespaces(name=node.name, network=-1, path=node.path)


def is_being_set_up(node: NodeNamespaces) -> bool:
    """Whether a container's first process has the machine's root directory, which it leaves before its program starts.

    As long as it has, the Docker Engine may set up the network: it switches IPv6 off at all interfaces that are there.
    """
    try:
        return Path(f"/proc/{node.pid}/root").samefile("/proc/1/root")
    except OSError:
        return False  # it has ended


def addresses_of(node: NodeNamespaces) -> tuple[FoundAddress, ...]:
    """The IPv4 addresses inside a node, but those of the loopback."""
    with namespaces.inside(node.network), RouteSocket() as route:
        by_index = {device.index: device for device in switch.devices(route)}
        found = switch.ipv4_addresses(route)
    return tuple(
        FoundAddress(interface=device.name, address=address, prefix_length=length, mtu=device.mtu)
        for index, address, length in found
        if (device := by_index.get(index)) and not address.startswith("127.")
    )


def devices_of(node: NodeNamespaces) -> list[NetworkDevice]:
    """Return the network devices inside a node."""
    with namespaces.inside(node.network), RouteSocket() as route:
        return switch.devices(route)


def processes_of(container: str, proc: Path = _PROC) -> list[int]:
    """The processes of a container, oldest first: the path of their cgroup names it, however it is restarted.

    Args:
        container: its id, 64 hexadecimal digits.
        proc: a proc file system in which they are seen.
    """
    found = []
    for entry in proc.iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile
                if container in (entry / "cgroup").read_text("utf-8", "replace"):
                    found.append((started(entry), int(entry.name)))
    return [pid for _, pid in sorted(found)]


def processes_beside(pid: int, proc: Path = _PROC) -> list[int]:
    """Return the processes in the pid namespace of one, itself included; none if it has ended."""
    found = []
    with suppress(OSError):
        namespace = (proc / str(pid) / "ns" / "pid").stat().st_ino
        for entry in proc.iterdir():
            if entry.name.isdecimal():
                with suppress(OSError):  # it has ended meanwhile
                    if (entry / "ns" / "pid").stat().st_ino == namespace:
                        found.append(int(entry.name))
    return found


def started(entry: Path) -> int:
    """Return when a process started, in ticks since the machine did: field 22 of /proc/PID/stat, see proc(5)."""
    return int((entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])


def _cgroups(pid: int) -> tuple[Path, ...]:
    """Return the `cgroup.procs` files of the cgroups that a process is in (cgroups(7)), version 1 and 2."""
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text("ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        for name in {controllers.removeprefix("name="), *controllers.split(",")}:
            procs = Path("/sys/fs/cgroup", name, path.lstrip("/"), "cgroup.procs")
            if procs.exists():
                found.append(procs)
                break
    return tuple(found)
