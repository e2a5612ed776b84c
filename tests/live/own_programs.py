"""Shipped topologies of servers that come as images, with this machine's own programs instead: for runtime netns."""

from __future__ import annotations

import shutil

from testbed.topology import find


def without_images(name, directory):
    """Return a copy of a shipped topology and its folder, whose nodes have no images."""
    shipped = find(name)
    shutil.copytree(shipped.parent / name, directory / name)
    copy = directory / shipped.name
    lines = shipped.read_text().splitlines(keepends=True)
    copy.write_text("".join(line for line in lines if not line.lstrip().startswith("image:")))
    return copy
