"""The impairments of links at each event of a topology's timeline."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import permutations, product

from testbed import faults, units
from testbed.impairments import CLEAR, Impairments
from testbed.kinds import find
from testbed.matching import LinkKey, Match, Packets, by_direction, crossed, longest
from testbed.topology.base import Fault
from testbed.topology.events import DARK, Heal, ImpairmentChange, Partition, Rebind
from testbed.topology.graph import Hop
from testbed.topology.link_entries import Applied
from testbed.topology.models import Topology
from testbed.topology.problems import quote
from testbed.topology.steps import Happening, NodeFaults, Step, in_time, length_ns
from testbed.topology.workloads import Together, Work, Workload


class TimelineState:
    """The impairments of all links while events are applied one after the other.

    Attributes:
        file: the impairments that the file has under `links`; other links are clear.
        now: the impairments after the events that have happened.
        nodes: what these have made of nodes; others run.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._on = {node: topology.attachments(node) for node in topology.nodes}
        # Equal impairments are one object, so that `is` compares them.
        self._same: dict[Impairments, Impairments] = {CLEAR: CLEAR}
        self._dark: dict[tuple[int, int], Impairments] = {}
        self.file: Mapping[LinkKey, Impairments] = self._resolved(topology.applied())
        self._matching: dict[LinkKey, list[LinkKey]] = {}
        for key in self.file:
            if key.match:
                self._matching.setdefault(key.plain, []).append(key)
        self.now: dict[LinkKey, Impairments] = dict(self.file)
        self.nodes: dict[str, faults.State] = {}

    def _resolved(self, entries: Mapping[LinkKey, Applied]) -> dict[LinkKey, Impairments]:
        """Return the impairments of links, computed once for all of the same keys."""
        known: dict[tuple[int, int, int], Impairments] = {}
        resolved = {}
        for key, link in entries.items():
            mtu, back_ns = self._mtu(key), _delay_ns(entries.get(key.back, entries.get(key.back.plain)))
            place = id(link.keys), mtu, back_ns
            if place not in known:
                known[place] = self._shared(link.keys.resolve(mtu=mtu, delay_back_ns=back_ns))
            resolved[key] = known[place]
        return resolved

    def contradictions(self, event: Happening) -> Iterator[Fault]:
        """Yield the contradictions within an event, and between it and the current impairments of its links."""
        if isinstance(event, ImpairmentChange):
            links = self._topology.links_of(event.link)
            states = {(self._impairments(key), self._mtu(key)): None for key in links}
            for impairments, mtu in states:
                yield from event.contradictions(impairments, mtu=mtu)
        if isinstance(event, NodeFaults):
            for each in event.faults:
                if why := faults.contradiction(self._state(each.node), each):
                    hint = "events are in the order of their times: see what the others before it do to this node"
                    yield Fault(("node",), "contradicting-event", f"is {quote(each.node)}, which {why} by then", hint)
                    return

    def _state(self, node: str) -> faults.State:
        return self.nodes.get(node, faults.State.RUNNING)

    def faults_of(self, event: Happening) -> tuple[faults.Fault, ...]:
        """Return what an event that is to be applied next does to nodes."""
        if isinstance(event, NodeFaults):
            return event.faults
        if isinstance(event, Heal) and isinstance(event.heal, str):
            undone = (faults.undoing(node, state) for node, state in self.nodes.items())
            return tuple(fault for fault in undone if fault)
        return ()

    def meet(self, event: Happening) -> dict[LinkKey, Impairments]:
        """Apply an event and return the links that it changes, with their new impairments.

        Raises:
            ValueError: there are `contradictions`.
        """
        for fault in self.faults_of(event):
            self.nodes[fault.node] = faults.after(self._state(fault.node), fault)
        after = {
            key: impairments
            for key, impairments in self._after(event).items()
            if impairments is not self._impairments(key)
        }
        self.now |= after
        return after

    def describe(self, event: Happening) -> str:
        """Return a short description of the event applied last: `a <-> b: loss 20 %`, `partition a | b`."""
        if not isinstance(event, ImpairmentChange):
            return str(event)
        impairments = self._impairments(next(self._topology.links_of(event.link)))
        by_key = {text.partition(" ")[0]: text for text in impairments.descriptions()}
        named = dict.fromkeys("loss" if key == "blackhole" else key for key in event.named)
        return f"{event.link}: {', '.join(by_key.get(key, f'no {key}') for key in named)}"

    def _after(self, event: Happening) -> dict[LinkKey, Impairments]:
        if isinstance(event, Rebind | NodeFaults):
            return {}
        if isinstance(event, Heal):
            healed = self.now if isinstance(event.heal, str) else self._all_of(self._topology.links_of(event.heal))
            return {key: self.file.get(key, CLEAR) for key in healed}
        if isinstance(event, Partition):
            parts = [self._topology.members(*names) for names in event.partition]
            return {key: self._darkened(key) for key in self._all_of(separated(self._on, parts))}
        return self._changed(event, dict.fromkeys(self._topology.links_of(event.link)))

    def _changed(self, event: ImpairmentChange, keys: Collection[LinkKey]) -> dict[LinkKey, Impairments]:
        """Return the impairments of links after a change, computed once for all links with equal impairments."""
        known: dict[tuple[int, int, int], Impairments] = {}
        after = {}
        for key in keys:
            back_ns = self._delay_after_ns(self._back(key), event, keys)
            now, mtu = self._impairments(key), self._mtu(key)
            place = id(now), mtu, back_ns
            if place not in known:
                known[place] = self._shared(event.resolve(now, mtu=mtu, delay_back_ns=back_ns))
            after[key] = known[place]
        return after

    def _all_of(self, keys: Iterable[LinkKey]) -> Iterator[LinkKey]:
        """Yield links, and after one without a match all those of the same direction that have one."""
        for key in keys:
            yield key
            if key.match is None:
                yield from self._matching.get(key, ())

    def _back(self, key: LinkKey) -> LinkKey:
        """Return the link that answers take to the packets of a link."""
        return key.back if key.back in self.file else key.back.plain

    def _darkened(self, key: LinkKey) -> Impairments:
        """Return a link's impairments while it is cut, computed once for all links with equal impairments."""
        now, mtu = self._impairments(key), self._mtu(key)
        place = id(now), mtu
        if place not in self._dark:
            self._dark[place] = self._shared(DARK.resolve(now, mtu=mtu, delay_back_ns=0))
        return self._dark[place]

    def _shared(self, impairments: Impairments) -> Impairments:
        return self._same.setdefault(impairments, impairments)

    def _delay_after_ns(self, key: LinkKey, event: ImpairmentChange, changed: Collection[LinkKey]) -> int:
        """Return the delay of a link after an event that changes some links, ns."""
        named = event.delay_ns if key in changed else None
        return self._impairments(key).delay_ns if named is None else named

    def _impairments(self, key: LinkKey) -> Impairments:
        return self.now.get(key, CLEAR)

    def _mtu(self, key: LinkKey) -> int:
        return self._topology.segments[key.network].mtu


MOST_CHANGES = 100_000
"""Limit on the changes of links in a timeline, one per event and link, because a plan contains all of them."""


MOST_STEPS = 20_000
"""Limit on how often the events of a timeline happen."""


def timeline_faults(topology: Topology) -> Iterator[Fault]:
    """Yield the faults of a timeline in a file that is otherwise valid."""
    end_ns, count = length_ns(topology), 0
    for number, event in enumerate(topology.timeline):
        if event.every_ns and event.until_ns is None and end_ns is None:
            hint = "some workloads end when they are done: say until when, such as until: 30s"
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
        changes += len(state.meet(step.what))
        if changes > MOST_CHANGES:
            message = f"brings the timeline to more than {MOST_CHANGES} changes of links"
            yield Fault(("timeline", step.number), "too-many-changes", message, "use fewer events, or smaller groups")
            return


def _after_end(steps: Iterable[Step], end_ns: int) -> Iterator[Fault]:
    """Yield the faults of events that happen when the workloads have ended, one for each."""
    late = {step.number: step for step in reversed([*steps]) if step.at_ns >= end_ns}
    took = f"workloads take {units.DURATION.format(end_ns)}" if end_ns else "there are no workloads"
    for number, step in sorted(late.items()):
        said = "is" if step.key == "at" else "makes something happen at"
        message = f"{said} {units.DURATION.format(step.at_ns)}, and {took}"
        hint = "events happen while workloads run: move the event or lengthen the workloads"
        yield Fault(("timeline", number, step.key), "event-after-end", message, hint)


def longest_ns(topology: Topology) -> dict[LinkKey, dict[Match | None, int]]:
    """Return the longest time that a packet may take over each link at any time of the timeline, ns.

    Returns:
        `by_direction`.

    Raises:
        ValueError: there are `timeline_faults`.
    """
    state = TimelineState(topology)
    longest = {key: impairments.longest_ns for key, impairments in state.file.items()}
    for step in in_time(topology):
        for key, impairments in state.meet(step.what).items():
            longest[key] = max(longest.get(key, 0), impairments.longest_ns)
    return by_direction(longest)


def packets_of(workload: Workload | Work) -> Packets:
    """Return the packets that a workload's client sends, as far as the file says."""
    kind, port = find(workload.kind), workload.parameters.get("port")
    return Packets(kind.protocols if kind else (), destination_port=port if isinstance(port, int) else None)


def longest_round_trip(
    there: Iterable[Hop],
    back: Iterable[Hop],
    packets: Packets,
    times_ns: Mapping[LinkKey, Mapping[Match | None, int]],
) -> int:
    """Return the longest time that packets take over the links of a path, and answers over those back, ns.

    Args:
        there: the hops of the path.
        back: those of the answers.
        packets: that go there.
        times_ns: of links, `by_direction`.
    """
    ways = [(key, packets) for hop in there for key in crossed(*hop)]
    ways += [(key, packets.back) for hop in back for key in crossed(*hop)]
    return sum(longest(sent, times_ns.get(way, {})) for way, sent in ways)


def workload_faults(topology: Topology) -> Iterator[Fault]:
    """Yield the workloads that can't work over the links of a file that is otherwise valid."""
    delays_ns = by_direction({key: one.delay_ns for key, one in TimelineState(topology).file.items()})
    for path, workload in _workloads(topology):
        if (reach := workload.reach) is None:
            continue
        round_trips_ns = (
            longest_round_trip(*both_ways(topology, one), packets_of(one), delays_ns)
            for one in topology.instances(workload)
        )
        if (longest_ns := max(round_trips_ns, default=0)) > reach.round_trip_ns:
            present, most = units.DURATION.format(longest_ns), units.DURATION.format(reach.round_trip_ns)
            message = f"crosses a round trip of {present}; {workload.kind} works over {most} at most"
            yield Fault(path, "path-too-long", message, reach.why)


def both_ways(topology: Topology, workload: Workload | Work) -> tuple[tuple[Hop, ...], tuple[Hop, ...]]:
    """Return the hops of a workload's packets, and of the answers; none if it stays in one node."""
    source, destination, network = _ends(workload)
    if source == destination:
        return (), ()
    graph = topology.graphs[topology.family(workload)]
    there = graph.path(source, destination, network) or ()
    return there, graph.answers(there)


def separated(on: Mapping[str, Collection[str]], groups: Iterable[Iterable[str]]) -> Iterator[LinkKey]:
    """Yield the links between nodes of different groups.

    Args:
        on: the networks of each node.
        groups: groups of nodes.
    """
    for sources, destinations in permutations(groups, 2):
        for source, destination in product(sources, destinations):
            yield from (LinkKey(source, destination, name) for name in on[source] if name in on[destination])


def _workloads(topology: Topology) -> Iterator[tuple[tuple[str | int, ...], Workload | Work]]:
    """Yield each workload with its path in the file."""
    for number, entry in enumerate(topology.workloads):
        if isinstance(entry, Together):
            yield from (
                (("workloads", number, "together", place), workload) for place, workload in enumerate(entry.together)
            )
        else:
            yield ("workloads", number), entry


def _ends(workload: Workload | Work) -> tuple[str, str, str | None]:
    return workload.source, workload.destination, workload.network


def _delay_ns(link: Applied | None) -> int:
    return (link.keys.delay_ns or 0) if link else 0
