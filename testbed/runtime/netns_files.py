"""Copies files to and from nodes that are namespaces, by this machine's tar, which sees the node's mounts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.agent.client import Agent


def put(agent: Agent, node: str, archive: bytes) -> None:
    """Unpack a tar archive at a node's root directory; see `testbed.runtime.Runtime.put`."""
    _tar(agent, node, ["--extract", "--directory", "/"], archive)


def get(agent: Agent, node: str, path: str) -> bytes:
    """Return a tar archive of a file or directory of a node; see `testbed.runtime.Runtime.get`."""
    directory, _, name = path.rpartition("/")
    return _tar(agent, node, ["--create", "--directory", f"{directory}/", "--", name])


def _tar(agent: Agent, node: str, options: Sequence[str], archive: bytes = b"") -> bytes:
    """Run tar in a node and return what it writes.

    Raises:
        LabError: `copy-failed`.
    """
    with (
        os.fdopen(os.memfd_create("stdin"), "r+b") as given,  # not pipes, which threads would have to serve
        os.fdopen(os.memfd_create("stdout"), "r+b") as written,
    ):
        given.write(archive)
        given.seek(0)
        streams = [given.fileno(), written.fileno()]
        with agent.spawn(node, ["tar", "--file", "-", *options], stdio=streams) as process:
            said = "".join(text for _, text in process.output())
            if process.wait():
                raise LabError("copy-failed", f"node {node}: {said.strip()}", "name a path that is there")
        written.seek(0)
        return written.read()
