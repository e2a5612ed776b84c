"""Linux namespaces by system call; Python has `os.unshare` and `os.setns` only from 3.12 on."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# include/uapi/linux/sched.h
NEWNS = 0x0002_0000
NEWUTS = 0x0400_0000
NEWIPC = 0x0800_0000
NEWUSER = 0x1000_0000
NEWPID = 0x2000_0000
NEWNET = 0x4000_0000

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_SECCOMP = 22
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process into new namespaces: the system call of that name.

    Raises:
        OSError: as the kernel says.
    """
    _checked(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(fd: int, kind: int) -> None:
    """Move this thread into the namespace that `fd` refers to: the system call of that name.

    Raises:
        OSError: as the kernel says.
    """
    _checked(_libc.setns(fd, kind), f"setns({fd}, {kind:#x})")


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent dies (prctl(2), PR_SET_PDEATHSIG)."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def set_process_name(name: str) -> None:
    """Set the name of this process, inherited by its children, in /proc/PID/comm; at most 15 bytes (PR_SET_NAME)."""
    _checked(_libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0), "prctl(PR_SET_NAME)")


def forbid_tracing() -> None:
    """Let no process trace this one but by SYS_PTRACE, until it executes a program (prctl(2), PR_SET_DUMPABLE)."""
    _checked(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def filter_system_calls(program: int) -> None:
    """Install a filter of this process's system calls; see prctl(2), PR_SET_SECCOMP.

    Args:
        program: the address of a struct sock_fprog.

    Raises:
        OSError: as the kernel says.
    """
    filter_mode = 2
    _checked(_libc.prctl(_PR_SET_SECCOMP, filter_mode, ctypes.c_void_p(program), 0, 0), "prctl(PR_SET_SECCOMP)")


def current_network() -> int:
    """Open the network namespace of this process and return its file descriptor."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def known_networks(*first: str) -> Iterator[Path]:
    """Yield paths of all network namespaces that have a name or a process, those of `first` before all others."""
    yield from (Path(path) for path in first if path)
    for place in ("/run/netns", "/run/docker/netns"):
        yield from sorted(Path(place).glob("*"))
    yield from (path / "ns/net" for path in Path("/proc").iterdir() if path.name.isdecimal())


def open_network(inode: int, *likely: str) -> int | None:
    """Open the network namespace with an inode (namespaces(7)), wherever it is; None if it has gone."""
    for path in known_networks(*likely):
        with suppress(OSError):
            if path.stat().st_ino == inode:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                if os.fstat(fd).st_ino == inode:
                    return fd
                os.close(fd)
    return None


@contextmanager
def inside(network: int) -> Iterator[None]:
    """Enter the network namespace of a file descriptor for the duration of the context.

    The body must not await, because other tasks of the event loop would then run in that namespace too.
    """
    home = current_network()
    try:
        setns(network, NEWNET)
        try:
            yield
        finally:
            setns(home, NEWNET)
    finally:
        os.close(home)


def new_network() -> int:
    """Create a network namespace and return its file descriptor.

    It exists until the descriptor is closed and nothing else is in it.
    """
    with inside_new_network() as network:
        return network


@contextmanager
def inside_new_network() -> Iterator[int]:
    """Create a network namespace, as `new_network`, and be in it for the duration of the context; see `inside`."""
    home = current_network()
    try:
        unshare(NEWNET)
        try:
            yield current_network()
        finally:
            setns(home, NEWNET)
    finally:
        os.close(home)


@contextmanager
def children_in_new_pid_namespace() -> Iterator[None]:
    """Make the first child forked within this context the init process of a new pid namespace."""
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(NEWPID)
        try:
            yield
        finally:
            setns(home, NEWPID)
    finally:
        os.close(home)
