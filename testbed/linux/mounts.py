"""Mounts, by system call: Python has none of them."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# include/uapi/linux/mount.h
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_CLOEXEC, _CREATE = 1, 6  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC; FSCONFIG_CMD_CREATE

# include/uapi/linux/fcntl.h
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000

# include/uapi/asm-generic/unistd.h: new system calls have one number on all machines, and the C library lacks them
_OPEN_TREE = 428
_MOVE_MOUNT = 429
_FSOPEN = 430
_FSCONFIG = 431
_FSMOUNT = 432
_MOUNT_SETATTR = 442
_FSCONFIG = 431
_FSPICK = 433
_FSPICK_CLOEXEC, _FSPICK_EMPTY_PATH = 1, 8
_FSCONFIG_SET_STRING, _FSCONFIG_CMD_RECONFIGURE = 1, 7

_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """A struct mount_attr."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Attach a file system: the system call of that name; `options` are those of the kind.

    Raises:
        OSError: as the kernel says.
    """
    names = os.fsencode(source), os.fsencode(target), kind.encode()
    _checked(_libc.mount(*names, flags, os.fsencode(options) or None), f"mount on {target}")


def copied(path: str, *, recursive: bool) -> int:
    """Return a file descriptor of a copy of what is at a path, to `attach` elsewhere (open_tree(2)).

    Args:
        path: of a file or directory.
        recursive: with all that is mounted below it.

    Raises:
        OSError: as the kernel says.
    """
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE * recursive
    return _checked(_libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags), f"open_tree of {path}")


def new_proc() -> int:
    """Return a file descriptor of the root of a new instance of procfs, which goes with it (fsopen(2)).

    Raises:
        OSError: as the kernel says.
    """
    context = _checked(_libc.syscall(_FSOPEN, b"proc", _CLOEXEC), "fsopen of proc")
    try:
        _checked(_libc.syscall(_FSCONFIG, context, _CREATE, None, None, 0), "fsconfig of proc")
        return _checked(_libc.syscall(_FSMOUNT, context, _CLOEXEC, 0), "fsmount of proc")
    finally:
        os.close(context)


def attach(tree: int, target: str) -> None:
    """Attach a copy at a path, and close its file descriptor (move_mount(2)).

    Raises:
        OSError: as the kernel says.
    """
    place = _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH
    try:
        _checked(_libc.syscall(_MOVE_MOUNT, tree, b"", *place), f"move_mount to {target}")
    finally:
        os.close(tree)


def make_read_only(path: str = "", tree: int = _AT_FDCWD) -> None:
    """Make a mount, and all below it, read-only (mount_setattr(2)).

    Args:
        path: the mount's; empty is the copy `tree` itself.
        tree: a file descriptor from `copied`.

    Raises:
        OSError: as the kernel says; ENOSYS before Linux 5.12.
    """
    attributes = _Attributes(attr_set=_MOUNT_ATTR_RDONLY)
    how = _AT_RECURSIVE | _AT_EMPTY_PATH * (not path), ctypes.byref(attributes), ctypes.sizeof(attributes)
    _checked(_libc.syscall(_MOUNT_SETATTR, tree, os.fsencode(path), *how), f"mount_setattr of {path or 'a copy'}")


def can_make_read_only() -> bool:
    """Whether this kernel has mount_setattr(2), as Linux has since 5.12; asked with arguments that it refuses."""
    refused = _libc.syscall(_MOUNT_SETATTR, -1, b"", 0, None, 0)
    return not (refused < 0 and ctypes.get_errno() == errno.ENOSYS)


class Mount(NamedTuple):
    """A mount, as proc(5) describes it in /proc/PID/mountinfo.

    Attributes:
        identity: its number, which is also in /proc/PID/fdinfo.
        device: the number of the file system, `major:minor`.
        root: which of its directories or files is mounted.
        path: where.
        kind: of file system.
        source: what the file system is of.
        options: of the file system.
    """

    identity: int
    device: str
    root: str
    path: str
    kind: str
    source: str
    options: tuple[str, ...]


def present(mountinfo: Path) -> Iterator[Mount]:
    """Yield the mounts that /proc/PID/mountinfo lists, in its order: of several at one path, the last one is seen."""
    for line in mountinfo.read_bytes().splitlines():
        before, _, after = line.partition(b" - ")
        identity, _, device, root, path, *_ = before.split()
        kind, source, options = after.split(b" ", 2)
        yield Mount(
            identity=int(identity),
            device=device.decode(),
            root=_unescaped(root),
            path=_unescaped(path),
            kind=kind.decode(),
            source=_unescaped(source),
            options=tuple(os.fsdecode(options).split(",")),
        )


def _unescaped(path: bytes) -> str:
    """Return a path of mountinfo, in which some characters are octal numbers after a backslash."""
    return os.fsdecode(path.decode("unicode_escape").encode("latin-1"))


def resize(root: int, size_bytes: int) -> None:
    """Change how much fits into a file system in memory (tmpfs(5), size).

    Args:
        root: file descriptor of its root directory, in whatever mount namespace that is.
        size_bytes: of all that is in it.

    Raises:
        OSError: as the kernel says; EINVAL where more is in it already.
    """
    context = _checked(_libc.syscall(_FSPICK, root, b"", _FSPICK_CLOEXEC | _FSPICK_EMPTY_PATH), "fspick")
    try:
        size = str(size_bytes).encode()
        _checked(_libc.syscall(_FSCONFIG, context, _FSCONFIG_SET_STRING, b"size", size, 0), "fsconfig of size")
        _checked(_libc.syscall(_FSCONFIG, context, _FSCONFIG_CMD_RECONFIGURE, None, None, 0), "fsconfig")
    finally:
        os.close(context)
