"""What the processes of a netns node have beside its network: mounts, a user, limits, name servers.

Docker sets these up for containers. A node of the netns runtime shares the machine's file system, in a mount namespace
of its own; so what is mounted needs a place that is there already.
"""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

from testbed.linux import namespaces
from testbed.linux.namespaces import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC, MS_REMOUNT

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.agent.messages import Surroundings
    from testbed.services import Tmpfs, Volume

_MOUNT_FLAGS = {"ro": MS_RDONLY, "noexec": MS_NOEXEC, "nosuid": MS_NOSUID, "nodev": MS_NODEV}
_UNDO_FLAGS = {"rw": MS_RDONLY, "exec": MS_NOEXEC, "suid": MS_NOSUID, "dev": MS_NODEV}
_RESOLVER = "/etc/resolv.conf"


def mount_all(surroundings: Surroundings, resolver: Path | None) -> None:
    """Mount what a node sees, in the current mount namespace, which is the node's own.

    Args:
        surroundings: of the node.
        resolver: the file that becomes /etc/resolv.conf; None leaves the machine's.

    Raises:
        OSError: the kernel refuses a mount.
    """
    if resolver:  # first, as something may be mounted where the file is
        namespaces.mount(str(resolver), _RESOLVER, flags=MS_BIND)
    for volume in surroundings.volumes:
        _bind(volume)
    for tmpfs in surroundings.tmpfs:
        _mount_tmpfs(tmpfs)


def _bind(volume: Volume) -> None:
    """Have a file or directory also at another place; in a user namespace only with all that is mounted below it."""
    namespaces.mount(volume.source, volume.target, flags=MS_BIND | MS_REC)
    if volume.read_only:
        # An ordinary user may not take away flags that the file system was mounted with (mount_namespaces(7)).
        inherited = os.statvfs(volume.target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC | os.ST_NOATIME)
        namespaces.mount("none", volume.target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | inherited)


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
    namespaces.mount("tmpfs", tmpfs.target, "tmpfs", flags, ",".join(data))


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
