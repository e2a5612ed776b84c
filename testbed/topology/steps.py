"""The timeline of a file as single steps in the order of time: what lasts, and what repeats, are several."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from testbed import faults
from testbed.topology.events import Event, Heal, ImpairmentChange, Partition, Rebind
from testbed.topology.models import Topology
from testbed.topology.node_events import LastingEvent, NodeEvent


@dataclass(frozen=True, slots=True)
class NodeFaults:
    """What happens to nodes at one time."""

    faults: tuple[faults.Fault, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.faults))


Happening = ImpairmentChange | Partition | Heal | Rebind | NodeFaults
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
        if isinstance(event, NodeEvent):
            for later_key, offset_ns, happening in of_nodes(event, topology.members(event.node)):
                yield Step(number, later_key or key, at_ns + offset_ns, happening)
        else:
            yield Step(number, key, at_ns, event)


def of_nodes(event: NodeEvent, nodes: Iterable[str]) -> Iterator[tuple[str, int, NodeFaults]]:
    """Yield what an event does to nodes, one after the other.

    Returns:
        The key that says so, empty for what happens at once; how long after the beginning, ns; and what happens.
    """
    begun = tuple(event.fault(node) for node in nodes)
    yield "", 0, NodeFaults(begun)
    if isinstance(event, LastingEvent) and event.lasting.ns:
        ended = tuple(faults.ENDING[type(each)](node=each.node) for each in begun)
        yield event.KEY, event.lasting.ns, NodeFaults(ended)


def length_ns(topology: Topology) -> int | None:
    """Return how long the workloads take, ns; None if that is not known in advance."""
    total = 0
    for stage in topology.stages:
        lengths = [workload.parameters.get("duration_ns") for workload in stage]
        known = [length for length in lengths if isinstance(length, int)]
        if len(known) < len(lengths):
            return None
        total += max(known)
    return total
