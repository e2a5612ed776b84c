"""What can go wrong with a node, as small values: the vocabulary that file, plan, agent, Python API and CLI share.

Links have theirs in `testbed.impairments`. A fault that lasts is two values: the one that begins it, and the one that
ends it (`undoing`). So a timeline is a flat list, which can be drawn from a seed, shortened, and carried out in part.
"""

from testbed.faults.nodes import (
    ENDING,
    Fault,
    Kill,
    NodeFault,
    Pause,
    Restart,
    SetClock,
    Start,
    State,
    Stop,
    Throttle,
    Unpause,
    after,
    contradiction,
    takes_time,
    undoing,
)

__all__ = [
    "ENDING",
    "Fault",
    "Kill",
    "NodeFault",
    "Pause",
    "Restart",
    "SetClock",
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
