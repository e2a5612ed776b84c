"""The public Python API: bring a topology up, use its nodes and links, run its workloads, take it down.

with Lab.up("lossy") as lab:
    lab["client"].run(["ping", "-c", "1", "server"])
    lab.link("client", "server").update(loss="10%")
    lab.run_workload("download").number("goodput_bps")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.agent.messages import LabEvent
    from testbed.lab.ahead import agent_ahead
    from testbed.lab.attaching import attached
    from testbed.lab.events import EventStream
    from testbed.lab.handles import LinkHandle, NodeHandle
    from testbed.lab.lab import Lab
    from testbed.lab.labs import all_labs, find, take_down, uninterrupted
    from testbed.lab.observer import Observer
    from testbed.lab.resolving import resolve
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


_PLACES = {
    "EventStream": "testbed.lab.events",
    "Lab": "testbed.lab.lab",
    "LabEvent": "testbed.agent.messages",
    "LinkHandle": "testbed.lab.handles",
    "LinkState": "testbed.lab.snapshots",
    "NodeHandle": "testbed.lab.handles",
    "NodeState": "testbed.lab.snapshots",
    "Observer": "testbed.lab.observer",
    "Snapshot": "testbed.lab.snapshots",
    "agent_ahead": "testbed.lab.ahead",
    "all_labs": "testbed.lab.labs",
    "attached": "testbed.lab.attaching",
    "find": "testbed.lab.labs",
    "resolve": "testbed.lab.resolving",
    "take_down": "testbed.lab.labs",
    "uninterrupted": "testbed.lab.labs",
}
"""The module of each name, which is imported when the name is used: the completion of words needs none of them."""


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
