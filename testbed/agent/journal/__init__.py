"""What the agent changes on what is not the lab's: written to a file before it is done, and put back from it.

The agent puts everything back when it ends. If it is killed, its guardian does (`guardian`); if both are killed,
the command that takes the lab down does. All of them read the same file, and putting back twice does no harm. The
module `undo` puts back; commands, which only read the file, do not import it.
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
    "outcome",
    "read",
]
