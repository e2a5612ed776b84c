"""Copies files to and from nodes that are namespaces, by this machine's tar, which sees the node's mounts."""

from __future__ import annotations

import os
import tempfile
from typing import IO, TYPE_CHECKING

from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.agent.client import Agent


def put(agent: Agent, node: str, archive: IO[bytes]) -> None:
    """Unpack a tar archive at a node's root directory; see `testbed.runtime.Runtime.put`."""
    with tempfile.TemporaryFile() as written:
        _tar(agent, node, ["--extract", "--directory", "/"], archive.fileno(), written.fileno())


def get(agent: Agent, node: str, path: str) -> IO[bytes]:
    """Return a tar archive of a file or directory of a node; see `testbed.runtime.Runtime.get`."""
    directory, _, name = path.rpartition("/")
    written = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    try:
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            options = ["--create", "--directory", f"{directory}/", "--", name]
            _tar(agent, node, options, nothing.fileno(), written.fileno())
    except BaseException:
        written.close()
        raise
    written.seek(0)
    return written


def _tar(agent: Agent, node: str, options: Sequence[str], given: int, written: int) -> None:
    """Run tar in a node, with files as its standard streams: pipes would have to be served by threads.

    Raises:
        LabError: `copy-failed`.
    """
    with agent.spawn(node, ["tar", "--file", "-", *options], stdio=[given, written]) as process:
        said = "".join(text for _, text in process.output())
        if process.wait():
            raise LabError("copy-failed", f"node {node}: {said.strip()}", "name a path that is there")
