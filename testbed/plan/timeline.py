"""Resolution of a file's timeline, in the order of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.plan.events import CommandStart, Event, LinkChange
from testbed.topology.events import Rebind
from testbed.topology.steps import CommandInNodes, Happening, RampStep, in_time
from testbed.topology.timeline_state import TimelineState

if TYPE_CHECKING:
    from testbed.plan.rebinding import Rebinding
    from testbed.topology.models import Topology


def resolve_timeline(topology: Topology, rebinding: Rebinding) -> tuple[Event, ...]:
    """Return the timeline of `topology`, in the order of time.

    Args:
        topology: as it was read.
        rebinding: chooses the addresses that NATs get.
    """
    state = TimelineState(topology)
    timeline = []
    for step in in_time(topology):
        event, faults = step.what, state.faults_of(step.what)
        changes = tuple(
            LinkChange(**key._asdict(), impairments=impairments) for key, impairments in state.apply(event).items()
        )
        moves = isinstance(event, Rebind) and event.address is not None
        timeline.append(
            Event(
                at_ns=step.at_ns,
                what=state.describe(event),
                changes=changes,
                rebinds=topology.members(event.node) if isinstance(event, Rebind) and not moves else (),
                addresses=rebinding.addresses(event) if isinstance(event, Rebind) and moves else (),
                faults=faults,
                commands=_commands(event),
                minor=isinstance(event, RampStep) and event.is_minor,
            )
        )
    return tuple(timeline)


def _commands(event: Happening) -> tuple[CommandStart, ...]:
    if not isinstance(event, CommandInNodes):
        return ()
    return tuple(CommandStart(node=node, argv=event.argv, may_fail=event.may_fail) for node in event.nodes)
