"""The timeline of a run: what happens to links and nodes at given times. And faults of nodes at once."""

from __future__ import annotations

from testbed.agent.messages.calls import Call, Payload
from testbed.agent.messages.links import NewImpairments
from testbed.faults import Fault


class NewNatAddress(Payload, frozen=True, kw_only=True):
    """An address for the NAT of a node on one of its networks outside, in place of the one that it has there."""

    node: str
    network: str
    address: str
    prefix_length: int


class TimelineEvent(Payload, frozen=True, kw_only=True):
    """What happens at a time after time zero.

    Attributes:
        at_ns: that time.
        changes: of links.
        rebinds: nodes whose NATs forget their mappings.
        addresses: of NATs, which forget their mappings too.
        faults: of nodes.
    """

    at_ns: int
    changes: tuple[NewImpairments, ...]
    rebinds: tuple[str, ...] = ()
    addresses: tuple[NewNatAddress, ...] = ()
    faults: tuple[Fault, ...] = ()


class PlayTimeline(Call[None], frozen=True, kw_only=True):
    """Carry events out until the client sends anything, which ends the call. Its events are `EventDone`.

    At the end, however it comes, all nodes of its faults run again.

    Attributes:
        start_ns: time zero; it may be in the future.
        events: in the order of their times.
        restored: the changes that undo all of those of links.
        addresses: those that NATs had before.
    """

    start_ns: int
    events: tuple[TimelineEvent, ...]
    restored: tuple[NewImpairments, ...]
    addresses: tuple[NewNatAddress, ...] = ()


class EventDone(Payload, frozen=True, kw_only=True):
    """The event of a timeline at that place has happened, between these times. They come in the order of the events."""

    number: int
    begun_ns: int
    done_ns: int


class Happened(Payload, frozen=True, kw_only=True):
    """When faults began and when they were done, ns of CLOCK_MONOTONIC."""

    begun_ns: int
    done_ns: int


class BringAbout(Call[Happened], frozen=True, kw_only=True):
    """Carry faults of nodes out at once, all at the same time; they last until others end them, or the lab ends."""

    faults: tuple[Fault, ...]


class HealNodes(Call[None], frozen=True, kw_only=True):
    """Undo all faults of nodes: they run, with the CPU time and the clock that they had at first."""
