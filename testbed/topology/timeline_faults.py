"""Finds what is wrong with the timeline of a file that is otherwise valid."""

from collections.abc import Iterable, Iterator

from testbed import units
from testbed.topology.base import Fault
from testbed.topology.models import Topology
from testbed.topology.steps import Step, in_time, length_ns
from testbed.topology.timeline_state import TimelineState

MOST_CHANGES = 100_000
"""Limit on the changes of links in a timeline, one per event and link, because a plan contains all of them."""


MOST_STEPS = 20_000
"""Limit on how often the events of a timeline happen."""


def timeline_faults(topology: Topology) -> Iterator[Fault]:
    """Yield the faults of a timeline in a file that is otherwise valid."""
    end_ns, count = length_ns(topology), 0
    for number, event in enumerate(topology.timeline):
        if event.every_ns and event.until_ns is None and end_ns is None:
            hint = "some workloads end when they are done, or there are none: say until when, such as until: 30s"
            said = 'lacks "until", and how long the workloads take is unknown'
            yield Fault(("timeline", number), "missing-key", said, hint)
            return
        count += len(event.times_ns(end_ns))
        if count > MOST_STEPS:
            message = f"brings the timeline to more than {MOST_STEPS} events"
            yield Fault(("timeline", number), "too-many-changes", message, "use fewer events")
            return
    steps = in_time(topology)
    if end_ns is not None:
        yield from _after_end(steps, end_ns)
    state = TimelineState(topology)
    changes = 0
    for step in steps:
        if contradictions := list(state.contradictions(step.what)):
            yield from (fault.under("timeline", step.number) for fault in contradictions)
            return  # the links' state at later events is unknown
        changes += len(state.apply(step.what))
        if changes > MOST_CHANGES:
            message = f"brings the timeline to more than {MOST_CHANGES} changes of links"
            yield Fault(("timeline", step.number), "too-many-changes", message, "use fewer events, or smaller groups")
            return


def _after_end(steps: Iterable[Step], end_ns: int) -> Iterator[Fault]:
    """Yield the faults of events that happen when the workloads have ended, one for each."""
    late = {step.number: step for step in reversed([*steps]) if step.at_ns >= end_ns}
    for number, step in sorted(late.items()):
        said = "is" if step.key == "at" else "makes something happen at"
        message = f"{said} {units.DURATION.format(step.at_ns)}, and workloads take {units.DURATION.format(end_ns)}"
        hint = "events happen while workloads run: move the event or lengthen the workloads"
        yield Fault(("timeline", number, step.key), "event-after-end", message, hint)
