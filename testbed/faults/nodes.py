"""Faults of a whole node: it stands still, is switched off, or starts anew; and what faults make of its state."""

from __future__ import annotations

import signal
from enum import Enum
from typing import Final

from testbed.faults.base import NodeFault
from testbed.faults.settings import AnySetting, FillDisk, NameFault, SetClock, Setting, SlowDisk


class State(Enum):
    """The state that faults have given a node."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class Pause(NodeFault, frozen=True, kw_only=True):
    """No process of the node runs until `Unpause`; its network stays, and its kernel still answers, such as pings."""


class Unpause(NodeFault, frozen=True, kw_only=True):
    """The processes of a paused node go on where they were."""


class Stop(NodeFault, frozen=True, kw_only=True):
    """The node's program is asked to end by its stop signal, and killed if it takes too long; the node is off then."""


class Kill(NodeFault, frozen=True, kw_only=True):
    """The node's program gets a signal.

    Attributes:
        signal: SIGKILL ends all processes of the node at once, and the node is off. Others go to its program alone.
    """

    signal: int = signal.SIGKILL

    @property
    def is_deadly(self) -> bool:
        """Whether the node is off afterwards for certain."""
        return self.signal == signal.SIGKILL

    def __str__(self) -> str:
        return f"{self.node}: kill" + ("" if self.is_deadly else f" ({signal.Signals(self.signal).name})")


class Start(NodeFault, frozen=True, kw_only=True):
    """A node that is off is switched on: its program begins anew, and its links are impaired before it counts as up."""


class Restart(NodeFault, frozen=True, kw_only=True):
    """`Stop`, then `Start`."""


Fault = AnySetting | Pause | Unpause | Stop | Kill | Start | Restart

ENDING: Final[dict[type[NodeFault], type[Unpause | Start]]] = {Pause: Unpause, Stop: Start, Kill: Start}
"""What ends each fault that lasts."""


def takes_time(fault: Fault) -> bool:
    """Whether a fault takes as long as the node's program likes, so that only its beginning can be on time."""
    return isinstance(fault, Stop | Start | Restart)


def after(state: State, fault: Fault) -> State:
    """Return the state of a node after a fault."""
    match fault:
        case Pause():
            return State.PAUSED
        case Stop():
            return State.STOPPED
        case Kill() if fault.is_deadly:
            return State.STOPPED
        case Kill() | Setting():
            return state
        case _:
            return State.RUNNING


def contradiction(state: State, fault: Fault) -> str:
    """Return why a fault makes no sense for a node in a state, as the end of a sentence; empty if it does."""
    why = ""
    match fault, state:
        case (Unpause(), State.RUNNING | State.STOPPED):
            why = "is not paused"
        case (Start(), State.RUNNING | State.PAUSED):
            why = "is not off"
        case (Pause(), State.PAUSED):
            why = "is paused already"
        case (SetClock(), State.PAUSED):  # what it sees then could not be looked at
            why = "is paused"
        case (Pause() | Stop() | Kill() | SetClock(), State.STOPPED):
            why = "is off"
        case (NameFault() | FillDisk() | SlowDisk(), State.STOPPED):
            why = "" if fault.is_neutral else "is off"
    return why


def undoing(node: str, state: State) -> Fault | None:
    """Return the fault that makes a node run again; None if it runs."""
    match state:
        case State.PAUSED:
            return Unpause(node=node)
        case State.STOPPED:
            return Start(node=node)
        case State.RUNNING:
            return None
