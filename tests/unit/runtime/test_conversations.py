"""Calls that last over several machines: their events come as those of one agent, by one clock."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.agent.messages import (
    EventDone,
    LabEvent,
    LinkSamples,
    NewImpairments,
    NewNatAddress,
    PlayTimeline,
    SampleLinks,
    TimelineEvent,
)
from testbed.errors import LabError
from testbed.faults import Pause
from testbed.impairments import CLEAR
from testbed.runtime.swarm.conversations import Conversation, part_of

DAY_NS = 86_400_000_000_000


class Part:
    """A connection whose agent reports what it is given, and then fails if it is told to."""

    def __init__(self, *events, error=None):
        self._events = events
        self._error = error

    def events(self, _call, _kind):
        yield from self._events
        if self._error:
            raise self._error


def told(kind, **parts):
    whole: Any = {name: part for name, (part, _) in parts.items()}
    return list(Conversation(whole, {name: ahead for name, (_, ahead) in parts.items()}).events(CALL, kind))


CALL = SampleLinks(interval_ns=1)


def test_an_event_of_a_timeline_has_happened_when_it_has_on_all_machines():
    east = Part(EventDone(number=0, begun_ns=100, done_ns=140), EventDone(number=1, begun_ns=200, done_ns=210))
    west = Part(
        EventDone(number=0, begun_ns=DAY_NS + 90, done_ns=DAY_NS + 120),
        EventDone(number=1, begun_ns=DAY_NS + 205, done_ns=DAY_NS + 260),
    )
    assert told(EventDone, east=(east, 0), west=(west, DAY_NS)) == [
        EventDone(number=0, begun_ns=90, done_ns=140),
        EventDone(number=1, begun_ns=200, done_ns=260),
    ]


def test_samples_and_events_are_by_the_nodes_clock():
    samples = LinkSamples(link="a -> b on lan", columns={"at_ns": (DAY_NS + 1, DAY_NS + 2), "lost": (0, 1)})
    assert told(LinkSamples, west=(Part(samples), DAY_NS)) == [
        LinkSamples(link="a -> b on lan", columns={"at_ns": (1, 2), "lost": (0, 1)})
    ]
    event = LabEvent(number=7, kind="fault-done", at_ns=DAY_NS + 5, unix_ns=9, what="x", begun_ns=DAY_NS + 3)
    [first, second] = told(LabEvent, west=(Part(event, event), DAY_NS))
    assert (first.number, second.number, first.at_ns, first.begun_ns, first.unix_ns) == (1, 2, 5, 3, 9)


def test_the_error_of_one_machine_ends_all():
    with pytest.raises(LabError, match="agent-gone"):
        told(LinkSamples, east=(Part(), 0), west=(Part(error=LabError("agent-gone", "it has gone")), 0))


def test_a_machine_does_its_own_part_of_a_timeline():
    there, back = (
        NewImpairments(source=one, destination=other, network="lan", impairments=CLEAR) for one, other in ("ab", "ba")
    )
    moved = tuple(NewNatAddress(node=node, network="wan", address="198.18.7.9", prefix_length=24) for node in "ab")
    whole, own = (
        TimelineEvent(
            at_ns=3,
            changes=changes,
            rebinds=tuple(nodes),
            addresses=addresses,
            faults=tuple(Pause(node=node) for node in nodes),
        )
        for nodes, changes, addresses in (("ab", (there, back), moved), ("b", (there,), moved[1:]))
    )
    timeline = PlayTimeline(start_ns=10, events=(whole, whole), restored=(there, back), addresses=moved)
    part = part_of(timeline, {"b"}, DAY_NS)
    assert part == PlayTimeline(start_ns=DAY_NS + 10, events=(own, own), restored=(there,), addresses=moved[1:])
