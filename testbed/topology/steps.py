"""The timeline of a file as single steps in the order of time. An event that lasts or repeats is several steps."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from testbed import faults
from testbed.topology.events import Alternation, Event, Flap, Heal, ImpairmentChange, Partition, Ramp, Rebind, RunEvent
from testbed.topology.models import Topology
from testbed.topology.node_events import LastingEvent, NodeEvent, SettingEvent


@dataclass(frozen=True, slots=True)
class CommandInNodes:
    """A command that is started in nodes at one time."""

    nodes: tuple[str, ...]
    argv: tuple[str, ...]
    may_fail: bool

    def __str__(self) -> str:
        return f"{', '.join(self.nodes)}: run {shlex.join(self.argv)}"


RAMP_STEP_NS = 100_000_000
"""The time from one step of a gradual change to the next. Charts over time are no finer."""

MOST_RAMP_STEPS = 200
"""Steps of a gradual change, which are longer if it takes longer than 20 s."""


@dataclass(frozen=True, slots=True)
class FaultsOfNodes:
    """What happens to nodes at one time."""

    faults: tuple[faults.Fault, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.faults))


@dataclass(frozen=True, slots=True)
class RampStep:
    """A part of a gradual change of a link.

    Attributes:
        ramp: the whole of it.
        begun_ns: when it began, which tells it from its repetitions.
        share: how much of the way from the first to the last values it has come after this.
        is_minor: it is neither the first nor the last step, so that charts need no mark for it.
    """

    ramp: Ramp
    begun_ns: int
    share: Fraction
    is_minor: bool


@dataclass(frozen=True, slots=True)
class Over:
    """The end of a change or a partition that lasts for a given time."""

    event: ImpairmentChange | Partition

    def __str__(self) -> str:
        return f"{self.event.link}: over" if isinstance(self.event, ImpairmentChange) else f"{self.event}: over"


Happening = ImpairmentChange | Partition | Over | Heal | Rebind | FaultsOfNodes | RampStep | CommandInNodes
"""What a step is."""


class Step(NamedTuple):
    """One thing that happens at one time.

    Attributes:
        number: of the entry under `timeline` that it is from.
        key: of that entry, which decides its time.
        at_ns: its time.
        what: what happens.
    """

    number: int
    key: str
    at_ns: int
    what: Happening


def in_time(topology: Topology) -> list[Step]:
    """Return the steps ordered by time; those at one time are in the order of the file."""
    end_ns = length_ns(topology)
    steps = (step for number, event in enumerate(topology.timeline) for step in _steps(topology, number, event, end_ns))
    return sorted(steps, key=lambda step: step.at_ns)


def _steps(topology: Topology, number: int, event: Event, end_ns: int | None) -> Iterator[Step]:
    for repetition, at_ns in enumerate(event.times_ns(end_ns)):
        key = "until" if repetition else "at"
        if isinstance(event, Ramp):
            count = max(1, min(MOST_RAMP_STEPS, event.ramp.over_ns // RAMP_STEP_NS))
            for done in range(1, count + 1):
                share = Fraction(done, count)
                later_ns = at_ns + int(event.ramp.over_ns * share)
                yield Step(number, "ramp", later_ns, RampStep(event, at_ns, share, is_minor=1 < done < count))
        elif isinstance(event, Flap):
            yield Step(number, key, at_ns, _of_link(event, blackhole=True))
            yield Step(number, "down", at_ns + event.down_ns, _of_link(event, blackhole=False))
        elif isinstance(event, RunEvent):
            nodes = topology.members(event.run.node)
            yield Step(number, key, at_ns, CommandInNodes(nodes, event.run.command, event.run.may_fail))
        elif isinstance(event, Alternation):
            yield Step(number, key, at_ns, event.change(repetition))
        elif isinstance(event, NodeEvent):
            for later_key, offset_ns, happening in of_nodes(event, topology.members(event.node)):
                yield Step(number, later_key or key, at_ns + offset_ns, happening)
        else:
            yield Step(number, key, at_ns, event)
            if isinstance(event, ImpairmentChange | Partition) and event.lasting_ns:
                yield Step(number, "for", at_ns + event.lasting_ns, Over(event))


def _of_link(event: Flap, *, blackhole: bool) -> ImpairmentChange:
    return ImpairmentChange.model_construct({"blackhole"}, at_ns=event.at_ns, link=event.link, blackhole=blackhole)


def of_nodes(event: NodeEvent, nodes: Iterable[str]) -> Iterator[tuple[str, int, FaultsOfNodes]]:
    """Yield what an event does to nodes, one after the other.

    Returns:
        The key that says so, empty for what happens at once; how long after the beginning, ns; and what happens.
    """
    begun = tuple(event.fault(node) for node in nodes)
    yield "", 0, FaultsOfNodes(begun)
    if isinstance(event, LastingEvent) and event.lasting.ns:
        ended = tuple(faults.ENDING[type(each)](node=each.node) for each in begun)
        yield event.KEY, event.lasting.ns, FaultsOfNodes(ended)
    if isinstance(event, SettingEvent) and event.lasting_ns:
        restored = tuple(each.neutral for each in begun if isinstance(each, faults.Setting))
        yield "for", event.lasting_ns, FaultsOfNodes(restored)


def length_ns(topology: Topology) -> int | None:
    """Return how long the workloads take, ns; None if that is not known in advance, or there are none.

    A timeline without workloads is for `testbed play`, and chaos for a command of the user's own.
    """
    if not topology.stages:
        return None
    total = 0
    for stage in topology.stages:
        lengths = [workload.parameters.get("duration_ns") for workload in stage]
        known = [length for length in lengths if isinstance(length, int)]
        if len(known) < len(lengths):
            return None
        total += max(known)
    return total
