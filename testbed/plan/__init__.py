"""The plan: what a topology resolves to, with nothing left to choose.

Reading a plan needs the standard library only; what resolves a topology is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.plan.events import Event, LinkChange
from testbed.plan.model import Link, Plan
from testbed.plan.nodes import Interface, Network, Node
from testbed.plan.relocation import relocate
from testbed.plan.workloads import Workload

if TYPE_CHECKING:
    from testbed.plan.resolution import resolve

__all__ = [
    "Event",
    "Interface",
    "Link",
    "LinkChange",
    "Network",
    "Node",
    "Plan",
    "Workload",
    "relocate",
    "resolve",
]


def __getattr__(name: str) -> object:
    if name != "resolve":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from testbed.plan.resolution import resolve  # noqa: PLC0415

    return resolve
