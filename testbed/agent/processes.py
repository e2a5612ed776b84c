"""Processes in nodes: in the node's network namespace and cgroup, with its host name and its /etc/hosts."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import termios
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import namespaces
from testbed.errors import LabError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.agent.nodes import Node

_STREAMS = 3
_OUTPUT_CHUNK = 1 << 16


async def start(
    node: Node, argv: Sequence[str], *, cwd: str | None, stdio: Sequence[int], tty: bool, own_filesystem: bool
) -> asyncio.subprocess.Process:
    """Start a command in a node, as the leader of a process group of its own.

    Args:
        node: where.
        argv: the command, looked up in PATH.
        cwd: where it starts; None is the root directory.
        stdio: file descriptors for its standard streams, in their order; the rest are pipes.
        tty: the first of them is a terminal and becomes the controlling one.
        own_filesystem: the node has no file system of its own (it is no container): give the process a view of
            this one with the node's hosts file, host name and /sys.

    Raises:
        UsageError: `command-not-found`, `command-refused`.
        LabError: `not-in-node`, the process could not enter the node.
    """

    def enter() -> None:
        # Runs between fork and exec: system calls and no more.
        namespaces.die_with_parent()
        if tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for procs in node.cgroups:
            procs.write_text("0", "ascii")
        namespaces.setns(node.network, namespaces.NEWNET)
        if own_filesystem:
            _enter_filesystem(node)

    streams = (*stdio, *(asyncio.subprocess.PIPE,) * (_STREAMS - len(stdio)))
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            cwd=cwd or "/",
            env={**os.environ, **node.environment},
            preexec_fn=enter,
            start_new_session=True,
            limit=_OUTPUT_CHUNK,
        )
    except FileNotFoundError as error:
        raise UsageError("command-not-found", f"no such file or directory: {error.filename}") from None
    except PermissionError as error:
        if "/" not in str(error.filename):  # execvp says so too where it may not look into a directory of PATH
            raise UsageError("command-not-found", f"no {error.filename} in PATH that may be run") from None
        raise UsageError("command-refused", f"not allowed to run {error.filename}") from None
    except subprocess.SubprocessError as error:  # `enter` failed
        raise LabError("not-in-node", f"could not start {argv[0]} in {node.name}: {error}") from None


def kill(process: asyncio.subprocess.Process) -> None:
    """Kill a process with its group; nothing happens where it has ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _enter_filesystem(node: Node) -> None:
    namespaces.unshare(namespaces.NEWNS | namespaces.NEWUTS)
    socket.sethostname(node.name)
    namespaces.mount("none", "/", flags=namespaces.MS_REC | namespaces.MS_PRIVATE)
    if node.hosts and Path("/etc/hosts").exists():
        namespaces.mount(str(node.hosts), "/etc/hosts", flags=namespaces.MS_BIND)
    with suppress(OSError):  # refused where parts of /sys are hidden (containers); only /sys/class/net would tell
        namespaces.mount("sysfs", "/sys", "sysfs", namespaces.MS_NOSUID | namespaces.MS_NODEV | namespaces.MS_NOEXEC)
