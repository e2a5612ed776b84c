"""The public Python API: bring a topology up, use its nodes and links, run its workloads, take it down.

with Lab.up("lossy") as lab:
    lab["client"].run(["ping", "-c", "1", "server"])
    lab.link("client", "server").update(loss="10%")
    lab.run_workload("download").number("goodput_bps")
"""

from typing import TYPE_CHECKING

from testbed.lab.bringup import agent_ahead, all_labs, find, take_down, uninterrupted
from testbed.lab.handles import LinkHandle, NodeHandle
from testbed.lab.lab import Lab
from testbed.lab.observer import Observer
from testbed.lab.resolving import resolve

if TYPE_CHECKING:
    from testbed.agent.messages import LabEvent
    from testbed.lab.attaching import attached
    from testbed.lab.events import EventStream
    from testbed.lab.snapshots import LinkState, NodeState, Snapshot

__all__ = [
    "EventStream",
    "Lab",
    "LabEvent",
    "LinkHandle",
    "LinkState",
    "NodeHandle",
    "NodeState",
    "Observer",
    "Snapshot",
    "agent_ahead",
    "all_labs",
    "attached",
    "find",
    "resolve",
    "take_down",
    "uninterrupted",
]


def __getattr__(name: str) -> object:
    if name != "attached":  # it imports the file format, which most commands don't need
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from testbed.lab import attaching  # noqa: PLC0415

    return getattr(attaching, name)
