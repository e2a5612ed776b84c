"""What can go wrong with a node, as small values: the vocabulary that file, plan, agent, Python API and CLI share.

Links have theirs in `testbed.impairments`. A fault that lasts is two values: the one that begins it, and the one that
ends it (`undoing`; of a `Setting` its `neutral`). So a timeline is a flat list, which can be drawn from a seed,
shortened, and carried out in part.
"""

from testbed.faults.base import NodeFault
from testbed.faults.nodes import (
    ENDING,
    Fault,
    Kill,
    Pause,
    Restart,
    Start,
    State,
    Stop,
    Unpause,
    after,
    contradiction,
    takes_time,
    undoing,
)
from testbed.faults.settings import (
    ALL_NAMES,
    AnySetting,
    FillDisk,
    InForce,
    NameFails,
    NameFault,
    NameLies,
    NameSlow,
    NameWorks,
    SetClock,
    Setting,
    SlowDisk,
    Throttle,
)

__all__ = [
    "ALL_NAMES",
    "ENDING",
    "AnySetting",
    "Fault",
    "FillDisk",
    "InForce",
    "Kill",
    "NameFails",
    "NameFault",
    "NameLies",
    "NameSlow",
    "NameWorks",
    "NodeFault",
    "Pause",
    "Restart",
    "SetClock",
    "Setting",
    "SlowDisk",
    "Start",
    "State",
    "Stop",
    "Throttle",
    "Unpause",
    "after",
    "contradiction",
    "takes_time",
    "undoing",
]
