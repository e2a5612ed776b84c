"""The impairments of links at each event of a topology's timeline."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import permutations, product

from testbed import units
from testbed.impairments import CLEAR, Impairments
from testbed.kinds import find
from testbed.matching import LinkKey, Match, Packets, by_direction, crossed, longest
from testbed.topology.base import Fault
from testbed.topology.events import DARK, Event, Heal, ImpairmentChange, Partition, Rebind
from testbed.topology.graph import Hop
from testbed.topology.link_entries import Applied
from testbed.topology.models import Topology
from testbed.topology.workloads import Together, Work, Workload


class TimelineState:
    """The impairments of all links while events are applied one after the other.

    Attributes:
        file: the impairments that the file has under `links`; other links are clear.
        now: the impairments after the events that have happened.
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

    def contradictions(self, event: Event) -> Iterator[Fault]:
        """Yield the contradictions within an event, and between it and the current impairments of its links."""
        if isinstance(event, ImpairmentChange):
            links = self._topology.links_of(event.link)
            states = {(self._impairments(key), self._mtu(key)): None for key in links}
            for impairments, mtu in states:
                yield from event.contradictions(impairments, mtu=mtu)

    def meet(self, event: Event) -> dict[LinkKey, Impairments]:
        """Apply an event and return the links that it changes, with their new impairments.

        Raises:
            ValueError: there are `contradictions`.
        """
        after = {
            key: impairments
            for key, impairments in self._after(event).items()
            if impairments is not self._impairments(key)
        }
        self.now |= after
        return after

    def describe(self, event: Event) -> str:
        """Return a short description of the event applied last: `a <-> b: loss 20 %`, `partition a | b`."""
        if not isinstance(event, ImpairmentChange):
            return str(event)
        impairments = self._impairments(next(self._topology.links_of(event.link)))
        by_key = {text.partition(" ")[0]: text for text in impairments.descriptions()}
        named = dict.fromkeys("loss" if key == "blackhole" else key for key in event.named)
        return f"{event.link}: {', '.join(by_key.get(key, f'no {key}') for key in named)}"

    def _after(self, event: Event) -> dict[LinkKey, Impairments]:
        if isinstance(event, Rebind):
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


def in_time(topology: Topology) -> list[tuple[int, Event]]:
    """Return the events ordered by time, each with its number in the file; events at one time keep the file's order."""
    return sorted(enumerate(topology.timeline), key=lambda numbered: numbered[1].at_ns)


def timeline_faults(topology: Topology) -> Iterator[Fault]:
    """Yield the faults of a timeline in a file that is otherwise valid."""
    if (length_ns := _length_ns(topology)) is not None:
        for number, event in enumerate(topology.timeline):
            if event.at_ns >= length_ns:
                took = f"workloads take {units.DURATION.format(length_ns)}" if length_ns else "there are no workloads"
                message = f"is {units.DURATION.format(event.at_ns)}, and {took}"
                hint = "events happen while workloads run: move the event or lengthen the workloads"
                yield Fault(("timeline", number, "at"), "event-after-end", message, hint)
    state = TimelineState(topology)
    changes = 0
    for number, event in in_time(topology):
        if contradictions := list(state.contradictions(event)):
            yield from (fault.under("timeline", number) for fault in contradictions)
            return  # the links' state at later events is unknown
        changes += len(state.meet(event))
        if changes > MOST_CHANGES:
            message = f"brings the timeline to more than {MOST_CHANGES} changes of links"
            yield Fault(("timeline", number), "too-many-changes", message, "use fewer events, or smaller groups")
            return


def longest_ns(topology: Topology) -> dict[LinkKey, dict[Match | None, int]]:
    """Return the longest time that a packet may take over each link at any time of the timeline, ns.

    Returns:
        `by_direction`.

    Raises:
        ValueError: there are `timeline_faults`.
    """
    state = TimelineState(topology)
    longest = {key: impairments.longest_ns for key, impairments in state.file.items()}
    for _, event in in_time(topology):
        for key, impairments in state.meet(event).items():
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


def _length_ns(topology: Topology) -> int | None:
    """Return how long the workloads take, ns; None if that is not known in advance."""
    total = 0
    for stage in topology.stages:
        lengths = [workload.parameters.get("duration_ns") for workload in stage]
        known = [length for length in lengths if isinstance(length, int)]
        if len(known) < len(lengths):
            return None
        total += max(known)
    return total


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
