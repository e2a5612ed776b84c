"""What the processes of a netns node have beside its network: mounts, a user, limits, name servers.

Docker sets these up for containers. A node of the netns runtime has the machine's files (`own_files`), in a mount
namespace of its own; so what is mounted needs a place that is there already.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import own_files
from testbed.linux import mounts
from testbed.linux.mounts import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY

if TYPE_CHECKING:
    from testbed.agent.messages import Surroundings
    from testbed.agent.nodes import NodeNamespaces
    from testbed.services import Tmpfs

_MOUNT_FLAGS = {"ro": MS_RDONLY, "noexec": MS_NOEXEC, "nosuid": MS_NOSUID, "nodev": MS_NODEV}
_UNDO_FLAGS = {"rw": MS_RDONLY, "exec": MS_NOEXEC, "suid": MS_NOSUID, "dev": MS_NODEV}


def prepare(node: NodeNamespaces) -> None:
    """Write the files of the lab that a node sees, and find out what is the same for all nodes, for it takes long.

    The agent does that, not the node's first process.
    """
    own_files.layered(*_further(node))
    for file in (node.hosts, node.resolver):
        if file:
            file.write()


def _further(node: NodeNamespaces) -> tuple[str, str]:
    """Return directories that an ordinary user's programs expect to be able to write to."""
    return node.environment.get("HOME") or os.environ.get("HOME", "/"), node.directory


def mount_all(node: NodeNamespaces) -> None:
    """Mount what a node sees, in the current mount namespace, which is the node's own.

    Raises:
        OSError: the kernel refuses a mount.
    """
    others = node.surroundings
    own = [  # first of what is mounted: the node may have something else where the lab's files are
        (str(file.path), place)
        for file, place in ((node.hosts, "/etc/hosts"), (node.resolver, "/etc/resolv.conf"))
        if file and Path(place).exists()
    ]
    lab_files = [(mounts.copied(source, recursive=False), target) for source, target in own]
    volumes = [(mounts.copied(each.source, recursive=True), each) for each in others.volumes]
    own_files.mount_layers(*_further(node))
    if not others.privileged:
        own_files.mount_devices(others.shm_bytes)
    for tree, target in lab_files:
        mounts.attach(tree, target)
    for tree, volume in volumes:
        if volume.read_only:
            mounts.make_read_only(tree=tree)
        _make_place(Path(volume.target), is_directory=Path(f"/proc/self/fd/{tree}").is_dir())
        mounts.attach(tree, volume.target)
    for tmpfs in others.tmpfs:
        _make_place(Path(tmpfs.target), is_directory=True)
        _mount_tmpfs(tmpfs)
    own_files.mount_kernel(writable=others.privileged)


def _make_place(target: Path, *, is_directory: bool) -> None:
    """Make what something is to be mounted on, where the node's own directories do not have what the machine's have."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_directory:
            target.mkdir()
        else:
            target.touch()


def _mount_tmpfs(tmpfs: Tmpfs) -> None:
    """Mount a file system in memory, with Docker's flags unless the file has others."""
    flags, data = MS_NOEXEC | MS_NOSUID | MS_NODEV, []
    for option in tmpfs.options:
        if option in _MOUNT_FLAGS:
            flags |= _MOUNT_FLAGS[option]
        elif option in _UNDO_FLAGS:
            flags &= ~_UNDO_FLAGS[option]
        else:
            data.append(option)
    mounts.mount("tmpfs", tmpfs.target, "tmpfs", flags, ",".join(data))


def permit_limits(surroundings: Surroundings) -> None:
    """Raise this process's hard limits to the node's, so that its children can set those without a capability.

    One that the kernel refuses is left alone: `limit_and_become` says so for each command.
    """
    for limit in surroundings.limits:
        number = getattr(resource, f"RLIMIT_{limit.name.upper()}")
        soft, hard = resource.getrlimit(number)
        if hard != resource.RLIM_INFINITY and (limit.hard == resource.RLIM_INFINITY or limit.hard > hard):
            with suppress(OSError, ValueError):
                resource.setrlimit(number, (soft, limit.hard))


def limit_and_become(surroundings: Surroundings) -> None:
    """Give this process the node's limits and its user; for good.

    Raises:
        OSError, ValueError: the kernel refuses them.
    """
    for limit in surroundings.limits:
        number = getattr(resource, f"RLIMIT_{limit.name.upper()}")
        resource.setrlimit(number, (limit.soft, limit.hard))
    if surroundings.user:
        user, group, further = surroundings.user
        os.setgroups(further)
        os.setgid(group)
        os.setuid(user)
