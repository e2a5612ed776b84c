"""What happens to a lab, as a stream for clients: a subscription, and what commands announce about their runs."""

from __future__ import annotations

from typing import Literal

from testbed.agent.messages.calls import Call, Payload

EventKind = Literal[
    "impairments",
    "fault-begun",
    "fault-done",
    "fault-failed",
    "rebind",
    "incident",
    "node",
    "link",
    "run-begun",
    "run-ended",
    "workload-begun",
    "workload-ended",
    "missed",
]


class LabEvent(Payload, frozen=True, kw_only=True):
    """Something that happened to a lab, the `number`-th since it came up.

    Attributes:
        kind: `impairments`: links have other ones. `fault-begun`, `fault-done`, `fault-failed`: of a node. `rebind`:
            a NAT has forgotten its mappings. `incident`: see `Incident`. `node`: the program of a node has ended, or
            stands still. `link`: a link passes nothing any more. `run-begun`, `run-ended`, `workload-begun`,
            `workload-ended`. `missed`: events are lacking here, because the client was too slow.
        at_ns: when; of what takes time, when it was done.
        unix_ns: the same by the wall clock, ns since 1970.
        what: a sentence.
        node: whose fault or state it is.
        links: names of links that were changed; at most a hundred of them, `what` has their number.
        begun_ns: when a fault that is done, or has failed, began.
    """

    number: int
    kind: EventKind
    at_ns: int
    unix_ns: int
    what: str
    node: str = ""
    links: tuple[str, ...] = ()
    begun_ns: int | None = None


class Follow(Call[None], frozen=True, kw_only=True):
    """Report what happens to the lab, as `LabEvent`. The call ends when the client sends anything, or disconnects.

    Attributes:
        past: report first what has happened before, as far as the agent remembers it (a thousand events).
        lasting: go on with what happens from now on.
    """

    past: bool
    lasting: bool


class AnnounceRun(Call[None], frozen=True, kw_only=True):
    """Announce that a command runs workloads, until it says so (`RunNote`) or disconnects.

    Attributes:
        what: it runs; a sentence.
    """

    what: str


class RunNote(Payload, frozen=True, kw_only=True):
    """What the client of `AnnounceRun` reports; `run-ended` ends the call."""

    kind: Literal["run-ended", "workload-begun", "workload-ended"]
    what: str
