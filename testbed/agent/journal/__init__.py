"""What the agent changes on what is not the lab's: written to a file before it is done, and put back from it.

The agent puts everything back when it ends. If it is killed, its guardian does (`guardian`); if both are killed,
the command that takes the lab down does. All of them read the same file, and putting back twice does no harm.
"""

from testbed.agent.journal.book import JOURNAL, Journal
from testbed.agent.journal.entries import (
    Bridge,
    CgroupMade,
    ContainerGoesOn,
    ContainerOff,
    ContainerOn,
    ContainerPaused,
    ContainerThrottled,
    ContainerUnthrottled,
    ForwardsBy,
    OffloadsOff,
    OnMachine,
    PortLeft,
    PortUsed,
    PutBack,
    outcome,
    read,
)
from testbed.agent.journal.undo import leave, put_back

__all__ = [
    "JOURNAL",
    "Bridge",
    "CgroupMade",
    "ContainerGoesOn",
    "ContainerOff",
    "ContainerOn",
    "ContainerPaused",
    "ContainerThrottled",
    "ContainerUnthrottled",
    "ForwardsBy",
    "Journal",
    "OffloadsOff",
    "OnMachine",
    "PortLeft",
    "PortUsed",
    "PutBack",
    "leave",
    "outcome",
    "put_back",
    "read",
]
