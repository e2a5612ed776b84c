"""The impairments of links at each event of a topology's timeline."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, permutations, product
from typing import NamedTuple

from testbed import units
from testbed.impairments import CLEAR, Impairments
from testbed.topology.base import Fault
from testbed.topology.ends import DirectionEnds, PairEnds
from testbed.topology.events import DARK, Event, Heal, ImpairmentChange, Partition
from testbed.topology.impairments import ImpairmentKeys
from testbed.topology.models import Topology
from testbed.topology.workloads import Together, Work, Workload

Key = tuple[str, str, str]
"""Source, destination and network, which identify a link."""


class LinkSettings(NamedTuple):
    """What a file says of a link.

    Attributes:
        keys: of its impairments, those of its profile included.
        engine: the entry's own, or None.
        profile: the entry's, or None.
    """

    keys: ImpairmentKeys
    engine: str | None
    profile: str | None


def link_entries(topology: Topology) -> dict[Key, LinkSettings]:
    """Return what applies to each link that the file names, see `precedence`. Links of one entry share the object."""
    entries: dict[Key, LinkSettings] = {}
    ranks: dict[Key, Precedence] = {}
    for link in topology.links:
        for source, destination in dict.fromkeys(link.directions):
            rank = precedence(link, source, destination, topology.groups)
            settings = LinkSettings(link.keys_between(source, destination), link.engine, link.profile)
            for key in topology.links_between(source, destination, link.network):
                if key not in entries or rank > ranks[key]:
                    entries[key], ranks[key] = settings, rank
    return entries


Precedence = tuple[int, bool]


def precedence(entry: object, source: str, destination: str, groups: Collection[str]) -> Precedence:
    """Return the rank of an entry among those about one link; the highest counts.

    The name of a node counts more than that of a group, and after that `from` and `to` more than `between`.
    """
    return sum(name not in groups for name in (source, destination)), isinstance(entry, DirectionEnds)


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
        self.file: Mapping[Key, Impairments] = self._resolved(link_entries(topology))
        self.now: dict[Key, Impairments] = dict(self.file)

    def _resolved(self, entries: Mapping[Key, LinkSettings]) -> dict[Key, Impairments]:
        """Return the impairments of links, computed once for all of the same keys."""
        known: dict[tuple[int, int, int], Impairments] = {}
        resolved = {}
        for key, link in entries.items():
            mtu, back_ns = self._mtu(key), _delay_ns(entries.get(_back(key)))
            place = id(link.keys), mtu, back_ns
            if place not in known:
                known[place] = self._shared(link.keys.resolve(mtu=mtu, delay_back_ns=back_ns))
            resolved[key] = known[place]
        return resolved

    def contradictions(self, event: Event) -> Iterator[Fault]:
        """Yield the contradictions within an event, and between it and the current impairments of its links."""
        if isinstance(event, ImpairmentChange):
            states = {(self._impairments(key), self._mtu(key)): None for key in _keys(self._topology, event.link)}
            for impairments, mtu in states:
                yield from event.contradictions(impairments, mtu=mtu)

    def meet(self, event: Event) -> dict[Key, Impairments]:
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
        impairments = self._impairments(_keys(self._topology, event.link)[0])
        by_key = {text.partition(" ")[0]: text for text in impairments.descriptions()}
        named = dict.fromkeys("loss" if key == "blackhole" else key for key in event.named)
        return f"{event.link}: {', '.join(by_key.get(key, f'no {key}') for key in named)}"

    def _after(self, event: Event) -> dict[Key, Impairments]:
        if isinstance(event, Heal):
            healed = list(self.now) if isinstance(event.heal, str) else _keys(self._topology, event.heal)
            return {key: self.file.get(key, CLEAR) for key in healed}
        if isinstance(event, Partition):
            parts = [self._topology.members(*names) for names in event.partition]
            return {key: self._darkened(key) for key in separated(self._on, parts)}
        return self._changed(event, dict.fromkeys(_keys(self._topology, event.link)))

    def _changed(self, event: ImpairmentChange, keys: Collection[Key]) -> dict[Key, Impairments]:
        """Return the impairments of links after a change, computed once for all links with equal impairments."""
        known: dict[tuple[int, int, int], Impairments] = {}
        after = {}
        for key in keys:
            now, mtu, back_ns = self._impairments(key), self._mtu(key), self._delay_after_ns(_back(key), event, keys)
            place = id(now), mtu, back_ns
            if place not in known:
                known[place] = self._shared(event.resolve(now, mtu=mtu, delay_back_ns=back_ns))
            after[key] = known[place]
        return after

    def _darkened(self, key: Key) -> Impairments:
        """Return a link's impairments while it is cut, computed once for all links with equal impairments."""
        now, mtu = self._impairments(key), self._mtu(key)
        place = id(now), mtu
        if place not in self._dark:
            self._dark[place] = self._shared(DARK.resolve(now, mtu=mtu, delay_back_ns=0))
        return self._dark[place]

    def _shared(self, impairments: Impairments) -> Impairments:
        return self._same.setdefault(impairments, impairments)

    def _delay_after_ns(self, key: Key, event: ImpairmentChange, changed: Collection[Key]) -> int:
        """Return the delay of a link after an event that changes some links, ns."""
        named = event.delay_ns if key in changed else None
        return self._impairments(key).delay_ns if named is None else named

    def _impairments(self, key: Key) -> Impairments:
        return self.now.get(key, CLEAR)

    def _mtu(self, key: Key) -> int:
        return self._topology.networks[key[2]].mtu


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


def longest_ns(topology: Topology) -> dict[Key, int]:
    """Return the longest time that a packet may take over each link at any time of the timeline, ns.

    Raises:
        ValueError: there are `timeline_faults`.
    """
    state = TimelineState(topology)
    longest = {key: impairments.longest_ns for key, impairments in state.file.items()}
    for _, event in in_time(topology):
        for key, impairments in state.meet(event).items():
            longest[key] = max(longest.get(key, 0), impairments.longest_ns)
    return longest


def workload_faults(topology: Topology) -> Iterator[Fault]:
    """Yield the workloads that can't work over the links of a file that is otherwise valid."""
    links = TimelineState(topology).file
    for path, workload in _workloads(topology):
        if (reach := workload.reach) is None:
            continue
        round_trips_ns = [_round_trip_ns(topology, links, one) for one in topology.instances(workload)]
        if (longest_ns := max(round_trips_ns, default=0)) > reach.round_trip_ns:
            present, most = units.DURATION.format(longest_ns), units.DURATION.format(reach.round_trip_ns)
            message = f"crosses a round trip of {present}; {workload.kind} works over {most} at most"
            yield Fault(path, "path-too-long", message, reach.why)


def _round_trip_ns(topology: Topology, links: Mapping[Key, Impairments], workload: Workload | Work) -> int:
    """Return the delay of both directions between the nodes of a workload, ns."""
    there = workload.source, workload.destination, topology.network_between(*_ends(workload))
    return sum(links[key].delay_ns for key in (there, _back(there)) if key in links)


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


def separated(on: Mapping[str, Collection[str]], groups: Iterable[Iterable[str]]) -> Iterator[Key]:
    """Yield the links between nodes of different groups.

    Args:
        on: the networks of each node.
        groups: groups of nodes.
    """
    for sources, destinations in permutations(groups, 2):
        for source, destination in product(sources, destinations):
            yield from ((source, destination, name) for name in on[source] if name in on[destination])


def _keys(topology: Topology, ends: PairEnds | DirectionEnds) -> list[Key]:
    """Return the links that an event names, those of all members of groups."""
    keys = (topology.links_between(*direction, ends.network) for direction in ends.directions)
    return list(dict.fromkeys(chain.from_iterable(keys)))


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


def _back(key: Key) -> Key:
    source, destination, network = key
    return destination, source, network


def _delay_ns(link: LinkSettings | None) -> int:
    return (link.keys.delay_ns or 0) if link else 0
