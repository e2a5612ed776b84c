"""Resolution of a file's links and timeline: one link of the plan for each direction that is ever impaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.impairments import CLEAR
from testbed.plan.events import Command, Event, LinkChange
from testbed.plan.model import Link
from testbed.seeds import of_link as seed_of
from testbed.topology.events import Rebind
from testbed.topology.steps import Commands, Happening, RampStep, in_time
from testbed.topology.timeline_state import TimelineState

if TYPE_CHECKING:
    from testbed.plan.rebinding import Rebinding
    from testbed.topology.models import Topology


def resolve_links(
    topology: Topology, *, seed: int, engine: str | None, rebinding: Rebinding
) -> tuple[tuple[Link, ...], tuple[Event, ...]]:
    """Return the links of `topology`, in the order of the file, and its timeline, in the order of time.

    A link with a match is there also if it has no impairments: its packets pass without those of the plain link.

    Args:
        topology: as it was read.
        seed: of the plan.
        engine: instead of the file's.
        rebinding: chooses the addresses that NATs get.
    """
    asked, state = topology.applied(), TimelineState(topology)
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
    changed = dict.fromkeys(change.key for event in timeline for change in event.changes)
    links = []
    for key in dict.fromkeys((*asked, *changed)):
        link, impairments = asked.get(key), state.file.get(key, CLEAR)
        if not impairments.is_clear or key in changed or key.match:
            links.append(
                Link(
                    **key._asdict(),
                    impairments=impairments,
                    seed=seed_of(seed, key),
                    engine=engine or (link and link.entry.engine) or topology.engine,
                    profile=link.entry.profile if link else None,
                )
            )
    return tuple(links), tuple(timeline)


def _commands(event: Happening) -> tuple[Command, ...]:
    if not isinstance(event, Commands):
        return ()
    return tuple(Command(node=node, argv=event.argv, may_fail=event.may_fail) for node in event.nodes)
