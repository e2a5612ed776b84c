"""Clocks of their own for the programs of containers, see `testbed.linux.clock`."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from docker.errors import NotFound

from testbed.errors import MachineError
from testbed.linux import clock
from testbed.runtime.docker.engine import refusals

if TYPE_CHECKING:
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.runtime.docker.engine import DockerEngine

_LIBC_DIRECTORIES = ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib")
"""Where Debian, Fedora and Arch have it; a link from /lib to /usr/lib is followed."""

_FIX = "use an image of Debian 12 or newer, or leave clock out"


def require(plan: Plan) -> None:
    """Require what the nodes need whose clock the timeline changes.

    Raises:
        MachineError: `no-clock`, `no-compiler`.
    """
    for node in plan.nodes:
        if node.name in plan.clocked:
            clock.library()
            if node.container:
                message = f"the clock of node {node.name} can't change: container {node.container} runs already"
                raise MachineError("no-clock", message, "leave the event out, or let the lab make the node")


def environment(plan: Plan, node: Node) -> dict[str, str]:
    """Return the variables of a node's programs."""
    if node.name not in plan.clocked:
        return dict(node.environment)
    return clock.variables(clock.LIBRARY_IN_CONTAINERS, clock.SHIFT_IN_CONTAINERS, node.environment)


def install(engine: DockerEngine, node: str, container: str) -> None:
    """Put what the programs of a container need into it, before it starts.

    Raises:
        MachineError: `no-clock`, its programs could not load the library.
    """
    with refusals(f"node {node}"):
        libc = _libc(engine, container)
    why = clock.misfit(libc) if libc else "has no glibc of 2.34 or newer"
    if why:
        raise MachineError("no-clock", f"the clock of node {node} can't change: its image {why}", _FIX)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        files = {clock.LIBRARY_IN_CONTAINERS: clock.library(), clock.SHIFT_IN_CONTAINERS: clock.UNSHIFTED}
        for path, content in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    with refusals(f"node {node}"):
        engine.api.put_archive(container, "/", packed.getvalue())


def _libc(engine: DockerEngine, container: str) -> bytes:
    """Return the C library of a container; empty if it has no glibc in one file, as since glibc 2.34."""
    for directory in _LIBC_DIRECTORIES:
        try:
            stream, _ = engine.api.get_archive(container, f"{directory}/libc.so.6")
        except NotFound:
            continue
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            for entry in archive:
                if entry.isfile() and (file := archive.extractfile(entry)):
                    return file.read()
    return b""
