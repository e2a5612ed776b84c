"""Disks of nodes that are full or slow.

A file system in memory that only the node has is made full by lowering its size to what is in it: that takes no memory,
and to heal it is to restore the size. No other is filled, for it would be the machine's. A disk is made slow for the
node alone by a limit on its cgroup.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import LabError, MachineError
from testbed.linux import cgroups, mounts, roots

if TYPE_CHECKING:
    from testbed.linux.mounts import Mount

_TRIES = 20


def _mount_at(pid: int, path: str) -> Mount:
    """Return what is mounted at a path, as a process sees it.

    Raises:
        OSError: there is no such directory.
    """
    place = roots.open_in(pid, path, os.O_PATH | os.O_DIRECTORY)
    try:
        lines = Path(f"/proc/self/fdinfo/{place}").read_text("ascii").splitlines()
    finally:
        os.close(place)
    number = next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
    for mount in mounts.present(Path(f"/proc/{pid}/mountinfo")):
        if mount.identity == number:
            return mount
    raise FileNotFoundError(errno.ENOENT, "nothing is mounted there", path)


def _of_the_machine(device: str) -> bool:
    """Whether a file system is the machine's, too, and not the node's alone.

    Raises:
        OSError: this is a process in a container, which may not know what the machine has.
    """
    mine = [*mounts.present(Path("/proc/self/mountinfo"))]
    try:
        machines = [*mounts.present(Path("/proc/1/mountinfo"))]
    except OSError:
        if any(mount.path == "/" and mount.kind == "overlay" for mount in mine):
            raise
        machines = []  # a process that is in no container sees what the machine has
    return any(device == mount.device for mount in (*mine, *machines))


@dataclass(slots=True)
class _Full:
    """A file system that is full.

    Attributes:
        root: file descriptor of its root directory.
        size_bytes: that it had before.
        filler: descriptor of a file without a name that takes a page, as the kernel takes a size of 0 for no limit.
        paths: the paths for which it is full.
    """

    root: int
    size_bytes: int
    filler: int = -1
    paths: set[str] = field(default_factory=set)

    def close(self) -> None:
        """Close the descriptors of the file system."""
        for fd in (self.filler, self.root):
            if fd >= 0:
                os.close(fd)


class Disks:
    """The disks of nodes that faults have filled."""

    def __init__(self) -> None:
        self._full: dict[tuple[str, str], _Full] = {}
        self._slow: dict[tuple[str, str], tuple[str, int]] = {}

    def fill(self, node: str, pid: int, path: str) -> None:
        """Make the file system at a path of a node full.

        Args:
            node: its name.
            pid: of a process in it.
            path: in the node.

        Raises:
            MachineError: `disk-not-own`, the node does not have it alone.
            LabError: `disk-not-changed`.
        """
        try:
            mount = _own(node, pid, path)
            full = self._full.get((node, mount.device))
            if not full:
                full = self._filled(roots.open_in(pid, mount.path, os.O_PATH | os.O_DIRECTORY), node, path)
                self._full[node, mount.device] = full
            full.paths.add(path)
        except OSError as error:
            raise _failed(node, path, error) from None

    def _filled(self, root: int, node: str, path: str) -> _Full:
        before = os.statvfs(root)
        if not before.f_blocks:
            os.close(root)
            said = f"the file system at {path} of node {node} has no size that could be reached"
            raise MachineError("disk-not-own", said, f"give it one: tmpfs: [{path}:size=64m]")
        full = _Full(root, before.f_blocks * before.f_frsize)
        try:
            if before.f_blocks == before.f_bfree:
                full.filler = os.open(f"/proc/self/fd/{root}", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC)
                os.write(full.filler, bytes(before.f_frsize))
            _shrink(root)
        except BaseException:
            full.close()
            raise
        return full

    def empty(self, node: str, path: str) -> None:
        """Give a file system that was filled for a path its former size; do nothing if none was.

        Raises:
            LabError: `disk-not-changed`.
        """
        for (name, device), full in list(self._full.items()):
            if name == node and path in full.paths:
                full.paths.discard(path)
                if full.paths:
                    continue
                del self._full[name, device]
                try:
                    mounts.resize(full.root, full.size_bytes)
                except OSError as error:
                    raise _failed(node, path, error) from None
                finally:
                    full.close()

    def forget(self, node: str) -> None:
        """Forget the file systems of a node that is off."""
        for name, device in list(self._full):
            if name == node:
                self._full.pop((name, device)).close()

    def slow(self, node: str, path: str, device: str, bytes_per_s: int, group: Path) -> None:
        """Limit how fast a cgroup reads and writes a disk.

        Args:
            node: its name.
            path: in the node, for which this is.
            device: the number of the disk.
            bytes_per_s: of each; 0 is no limit for this path.
            group: the directory of the cgroup of the node's processes.

        Raises:
            MachineError: `no-limits`.
        """
        self._slow.pop((node, path), None)
        if bytes_per_s:
            self._slow[node, path] = device, bytes_per_s
        limits = [limit for (name, _), (on, limit) in self._slow.items() if name == node and on == device]
        cgroups.limit_disk(group, device, min(limits, default=0))

    def slowed(self, node: str, path: str) -> str:
        """Return the number of the disk that is slow for a path; empty if none is."""
        return self._slow.get((node, path), ("", 0))[0]

    def is_slow(self, node: str) -> bool:
        """Whether any disk of a node is slow."""
        return any(name == node for name, _ in self._slow)


def _shrink(root: int) -> None:
    """Lower the size of a file system to what is in it, which may become more meanwhile."""
    for tried in range(_TRIES):
        now = os.statvfs(root)
        try:
            mounts.resize(root, max(now.f_blocks - now.f_bfree, 1) * now.f_frsize)
        except OSError as error:
            if error.errno != errno.EINVAL or tried + 1 == _TRIES:
                raise
        else:
            return


def disk_at(node: str, pid: int, path: str, lower: str = "") -> str:
    """Return the number of the disk that the file system at a path of a node is on.

    Args:
        node: its name.
        pid: of a process in it.
        path: in the node.
        lower: the directory of the machine beneath it, where it is one with a layer of the node's own.

    Raises:
        MachineError: `no-disk`, it is on none.
        LabError: `disk-not-changed`.
    """
    try:
        mount = _mount_at(pid, path)
        number = mount.device
        if mount.kind == "overlay":
            number = _number(_beneath(mount, lower).stat().st_dev)
    except OSError as error:
        raise _failed(node, path, error) from None
    device = Path("/sys/dev/block", number).resolve()
    if not device.exists():
        said = f"{path} of node {node} is on {mount.kind}, which is on no disk of its own that could be slow"
        raise MachineError("no-disk", said, "name a directory on a disk, such as that of a volume")
    if (device / "partition").exists():  # limits are those of whole disks
        device = device.parent
    return (device / "dev").read_text("ascii").strip()


def _beneath(mount: Mount, lower: str) -> Path:
    """Return a directory of the machine that is on the disk beneath an overlayfs.

    Raises:
        OSError: none can be seen.
    """
    upper = dict(option.partition("=")[::2] for option in mount.options).get("upperdir", "")
    for place in (Path(upper), Path(f"/proc/1/root{upper}"), Path(lower)):  # in a container, we are not at the root
        with suppress(OSError):
            if place.is_absolute() and os.major(place.stat().st_dev):
                return place
    raise FileNotFoundError(errno.ENOENT, "the agent can't see what is beneath it", upper)


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _own(node: str, pid: int, path: str) -> Mount:
    """Return what is mounted at a path of a node.

    Raises:
        MachineError: `disk-not-own`, the node does not have it alone.
        OSError: it can't be found out.
    """
    mount = _mount_at(pid, path)
    if mount.kind == "tmpfs" and not _of_the_machine(mount.device):
        return mount
    said = f"{path} of node {node} is on {mount.kind} ({mount.source}), which is not filled, as others have it too"
    hint = f'give the node a file system of its own there: tmpfs: ["{path}:size=64m"]'
    raise MachineError("disk-not-own", said, hint)


def _failed(node: str, path: str, error: OSError) -> LabError:
    said = f"the disk at {path} of node {node} can't be changed: {error.strerror or error}"
    return LabError("disk-not-changed", said, "name a directory of the node")
