"""Faults of a whole node: it stands still, is switched off, or starts anew."""

from __future__ import annotations

import signal
from enum import Enum
from typing import Final

from testbed import units
from testbed.codec import Variant


class State(Enum):
    """The state that faults have given a node."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class NodeFault(Variant, frozen=True, kw_only=True):
    """Base of the faults of a node.

    Attributes:
        node: its name.
    """

    node: str

    def __str__(self) -> str:
        return f"{self.node}: {self.kind}"


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


class Throttle(NodeFault, frozen=True, kw_only=True):
    """The processes of the node get less CPU time, or more.

    Attributes:
        cpus_milli: in thousandths of a core; 0 is what the node has without faults.
    """

    cpus_milli: int

    @classmethod
    def neutral(cls, node: str) -> Throttle:
        """Return the one that undoes all others of its kind on a node."""
        return cls(node=node, cpus_milli=0)

    def __str__(self) -> str:
        return f"{self.node}: {f'{self.cpus_milli / 1000:g} CPUs' if self.cpus_milli else 'CPUs as before'}"


class SetClock(NodeFault, frozen=True, kw_only=True):
    """The clock of the node's programs is wrong from then on: CLOCK_REALTIME, and no other.

    Attributes:
        offset_ns: how far it is ahead at once; negative is behind.
        drift_ppb: how much more in each second, ns.
    """

    offset_ns: int = 0
    drift_ppb: int = 0

    @classmethod
    def neutral(cls, node: str) -> SetClock:
        """Return the one that undoes all others of its kind on a node."""
        return cls(node=node)

    def __str__(self) -> str:
        ahead = units.DURATION.format(abs(self.offset_ns)) + (" behind" if self.offset_ns < 0 else " ahead")
        parts = [ahead] * bool(self.offset_ns) + [f"drifts by {self.drift_ppb / 1000:g} ppm"] * bool(self.drift_ppb)
        return f"{self.node}: clock {', '.join(parts) or 'right'}"


Fault = SetClock | Throttle | Pause | Unpause | Stop | Kill | Start | Restart

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
        case Kill() | Throttle() | SetClock():
            return state
        case _:
            return State.RUNNING


def contradiction(state: State, fault: Fault) -> str:
    """Return why a fault makes no sense for a node in a state, as the end of a sentence; empty if it does."""
    match fault, state:
        case (Unpause(), State.RUNNING | State.STOPPED):
            return "is not paused"
        case (Start(), State.RUNNING | State.PAUSED):
            return "is not off"
        case (Pause(), State.PAUSED):
            return "is paused already"
        case (SetClock(), State.PAUSED):  # what it sees then could not be looked at
            return "is paused"
        case (Pause() | Stop() | Kill() | SetClock(), State.STOPPED):
            return "is off"
        case _:
            return ""


def undoing(node: str, state: State) -> Fault | None:
    """Return the fault that makes a node run again; None if it runs."""
    match state:
        case State.PAUSED:
            return Unpause(node=node)
        case State.STOPPED:
            return Start(node=node)
        case State.RUNNING:
            return None
