"""Engines carry out what a link does to packets: `netem` in the kernel, `userspace` in processes of ours.

This module lists them and imports none; `testbed.engines.engine` says what an engine has to do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.engines.engine import Engine, Switch


class _EngineEntry(NamedTuple):
    module: str
    name: str
    needs: str


ENGINES: Mapping[str, _EngineEntry] = {
    "netem": _EngineEntry("testbed.engines.netem.presence", "engine", "a kernel with sch_netem"),
    "userspace": _EngineEntry(
        "testbed.engines.userspace.engine", "UserspaceEngine", "packet sockets in a namespace of ours"
    ),
}
"""Module and class of each engine, or what returns it, and what it needs, in the order in which `auto` prefers them."""

AUTO = "auto"
"""What leaves the choice of a link's engine to us."""

CHOICES = (AUTO, *ENGINES)
"""What a file and the command line may ask for."""


def load(name: str, switch: Switch) -> Engine:
    """Return a new engine of that name, one of `ENGINES`, for the links of one lab."""
    entry = ENGINES[name]
    engine: Engine = getattr(import_module(entry.module), entry.name)(switch)
    return engine
