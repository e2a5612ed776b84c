"""Finds out which lab, container or program already uses a port that is to be published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import LabError

if TYPE_CHECKING:
    from testbed.services import PublishedPort


def in_use(node: str, port: PublishedPort | None, holder: str) -> LabError:
    """Return the error that a port can't be published.

    Args:
        node: that publishes it.
        port: None where it is not known which of the node's it is.
        holder: who has it, in words; empty where that is not known.
    """
    what = f"port {port.host_port}/{port.protocol}" if port else "a port"
    number = port.host_port if port else "PORT"
    return LabError(
        "port-in-use",
        f"node {node} publishes {what} of this machine, which {holder or 'another program or container'} has",
        f"publish another, or find out who has it: ss -tulnp sport = :{number}; docker ps --filter publish={number}",
        path=("nodes", node, "ports"),
    )


_LISTENING = "0A"
"""TCP_LISTEN of include/net/tcp_states.h, in /proc/net/tcp."""


def holder_of(port: PublishedPort) -> str:
    """Return the program that has a port of this machine, in words; empty where it can't be found.

    Sockets and their inodes: net/ipv4/tcp_ipv4.c, get_tcp4_sock; proc(5).
    """
    inodes = set()
    for table in (Path(f"/proc/net/{port.protocol}"), Path(f"/proc/net/{port.protocol}6")):
        for line in table.read_text("ascii").splitlines()[1:] if table.exists() else ():
            _, local, _, state, *others = line.split()
            if int(local.rpartition(":")[2], 16) == port.host_port and (port.protocol == "udp" or state == _LISTENING):
                inodes.add(f"socket:[{others[5]}]")
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                if any(str(fd.readlink()) in inodes for fd in (process / "fd").iterdir()):
                    return f"{(process / 'comm').read_text('utf-8', 'replace').strip()} (pid {process.name})"
            except OSError:
                continue
    return ""
