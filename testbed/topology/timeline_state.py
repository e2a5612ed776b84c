"""The impairments of links at each event of a topology's timeline."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations, permutations, product
from typing import Any

from testbed import faults, units
from testbed.impairments import CLEAR, Blackhole, Impairments
from testbed.impairments.ramps import PARTS, NoMiddleError, between
from testbed.kinds import find
from testbed.matching import LinkKey, Match, Packets, by_direction, crossed, longest
from testbed.topology.base import Fault
from testbed.topology.events import DARK, Heal, ImpairmentChange, Partition, Rebind
from testbed.topology.graph import Hop
from testbed.topology.link_impairments import link_impairments
from testbed.topology.models import Topology
from testbed.topology.problems import quote
from testbed.topology.steps import CommandInNodes, FaultsOfNodes, Happening, Over, RampStep, in_time
from testbed.topology.workloads import Together, Work, WorkloadKeys

_DECIMAL = re.compile(r"\d+\.\d+")


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
        self.file: Mapping[LinkKey, Impairments] = link_impairments(topology, self._same)
        self._matching: dict[LinkKey, list[LinkKey]] = {}
        for key in self.file:
            if key.match:
                self._matching.setdefault(key.plain, []).append(key)
        self.now: dict[LinkKey, Impairments] = dict(self.file)
        self.nodes: dict[str, faults.State] = {}
        self._settings = faults.InForce()
        self._ramps: dict[tuple[int, int, LinkKey], Impairments] = {}

    def contradictions(self, event: Happening) -> Iterator[Fault]:
        """Yield the contradictions within an event, and between it and the current impairments of its links."""
        if isinstance(event, ImpairmentChange):
            links = self._topology.links_of(event.link)
            states = {(self._impairments(key), self._mtu(key)): None for key in links}
            for impairments, mtu in states:
                yield from event.contradictions(impairments, mtu=mtu)
        if isinstance(event, RampStep):
            yield from self._ramp_contradictions(event)
        if isinstance(event, FaultsOfNodes):
            for each in event.faults:
                if why := faults.contradiction(self._state(each.node), each):
                    hint = "events are in the order of their times: see what the others before it do to this node"
                    yield Fault(("node",), "contradicting-event", f"is {quote(each.node)}, which {why} by then", hint)
                    return

    def _ramp_contradictions(self, step: RampStep) -> Iterator[Fault]:
        """Yield what keeps a gradual change from its next step."""
        keys = step.ramp.ramp
        if fixed := [name for name in keys.named if name not in PARTS]:
            hint = f"what can change so: {', '.join(PARTS)}"
            yield Fault(("ramp", fixed[0]), "not-gradual", "can't change gradually", hint, at_key=True)
            return
        for key in self._topology.links_of(step.ramp.link):
            first = self._ramp_begun(step, key)
            faults = list(keys.contradictions(first, mtu=self._mtu(key)))
            yield from (fault.under("ramp") for fault in faults)
            if faults:
                return
            for name in keys.named:
                try:
                    replace(self._impairments(key), **between(name, first, self._ramp_end(step, key), step.share))
                except NoMiddleError:
                    said = f"can't change gradually from what {key.name} has then: {first.describe()}"
                    hint = "between a rate and none, or two kinds of loss, there is nothing: change it at once instead"
                    yield Fault(("ramp", name), "not-gradual", said, hint)
                    return
                except ValueError as error:
                    yield Fault(("ramp", name), "contradicting-event", f"is impossible by then: {error}")
                    return

    def _ramp_begun(self, step: RampStep, key: LinkKey) -> Impairments:
        """Return the impairments of a link when a gradual change began."""
        return self._ramps.get((id(step.ramp), step.begun_ns, key), self._impairments(key))

    def _ramp_end(self, step: RampStep, key: LinkKey) -> Impairments:
        first = self._ramp_begun(step, key)
        back_ns = self._impairments(self._back(key)).delay_ns
        return step.ramp.ramp.resolve(first, mtu=self._mtu(key), delay_back_ns=back_ns)

    def _ramped(self, step: RampStep, key: LinkKey) -> Impairments:
        """Return the impairments of a link after a step of a gradual change: only what that names changes."""
        first, now = self._ramp_begun(step, key), self._impairments(key)
        self._ramps[id(step.ramp), step.begun_ns, key] = first
        parts: dict[str, Any] = {}
        for name in step.ramp.ramp.named:
            parts |= between(name, first, self._ramp_end(step, key), step.share)
        if isinstance(now.loss, Blackhole) and "loss" in parts:
            parts["loss"] = Blackhole(hidden=parts["loss"])
        return self._shared(replace(now, **parts))

    def _state(self, node: str) -> faults.State:
        return self.nodes.get(node, faults.State.RUNNING)

    def faults_of(self, event: Happening) -> tuple[faults.Fault, ...]:
        """Return what an event that is to be applied next does to nodes."""
        if isinstance(event, FaultsOfNodes):
            return event.faults
        if isinstance(event, Heal) and isinstance(event.heal, str):
            undone = (faults.undoing(node, state) for node, state in self.nodes.items())
            return (*(fault for fault in undone if fault), *self._settings.undoing())
        return ()

    def apply(self, event: Happening) -> dict[LinkKey, Impairments]:
        """Apply an event and return the links that it changes, with their new impairments.

        Raises:
            ValueError: there are `contradictions`.
        """
        for fault in self.faults_of(event):
            self.nodes[fault.node] = faults.after(self._state(fault.node), fault)
            if isinstance(fault, faults.Setting):
                self._settings.note(fault)
        after = {
            key: impairments
            for key, impairments in self._after(event).items()
            if impairments is not self._impairments(key)
        }
        self.now |= after
        return after

    def describe(self, event: Happening) -> str:
        """Return a short description of the event applied last: `a <-> b: loss 20 %`, `partition a | b`."""
        if not isinstance(event, ImpairmentChange | RampStep):
            return str(event)
        named = (event.ramp.ramp if isinstance(event, RampStep) else event).named
        link = event.ramp.link if isinstance(event, RampStep) else event.link
        impairments = self._impairments(next(self._topology.links_of(link)))
        by_key = {text.partition(" ")[0]: text for text in impairments.descriptions()}
        if isinstance(event, RampStep):  # of which most have values that nobody has written
            by_key = {key: _DECIMAL.sub(lambda found: f"{float(found[0]):.4g}", text) for key, text in by_key.items()}
        shown = dict.fromkeys("loss" if key == "blackhole" else key for key in named)
        return f"{link}: {', '.join(by_key.get(key, f'no {key}') for key in shown)}"

    def _after(self, event: Happening) -> dict[LinkKey, Impairments]:
        if isinstance(event, Rebind | FaultsOfNodes | CommandInNodes):
            return {}
        if isinstance(event, Heal):
            healed = self.now if isinstance(event.heal, str) else self._all_of(self._topology.links_of(event.heal))
            return {key: self.file.get(key, CLEAR) for key in healed}
        if isinstance(event, Partition):
            return {key: self._blackholed(key) for key in self._cut(event)}
        if isinstance(event, Over):
            links = self._cut(event.event) if isinstance(event.event, Partition) else self._links_of(event.event)
            return {key: self.file.get(key, CLEAR) for key in links}
        if isinstance(event, RampStep):
            return {key: self._ramped(event, key) for key in self._topology.links_of(event.ramp.link)}
        return self._changed(event, dict.fromkeys(self._topology.links_of(event.link)))

    def _cut(self, partition: Partition) -> Iterator[LinkKey]:
        """Yield the links that a partition cuts."""
        parts = [self._topology.members(*names) for names in partition.groups]
        yield from self._all_of(separated(self._on, parts, one_way=partition.is_one_way))

    def _links_of(self, change: ImpairmentChange) -> Iterator[LinkKey]:
        yield from self._topology.links_of(change.link)

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

    def _blackholed(self, key: LinkKey) -> Impairments:
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
        for key, impairments in state.apply(step.what).items():
            longest[key] = max(longest.get(key, 0), impairments.longest_ns)
    return by_direction(longest)


def packets_of(topology: Topology, workload: WorkloadKeys | Work) -> Packets:
    """Return the packets that a workload's client sends, as far as the file says."""
    kind, port = find(workload.kind), workload.parameters.get("port")
    packets = Packets(kind.protocols if kind else (), destination_port=port if isinstance(port, int) else None)
    return packets.over(topology.family(workload))


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
    delays_ns = by_direction({key: one.delay_ns for key, one in link_impairments(topology).items()})
    for path, workload in _workloads(topology):
        if (reach := workload.reach) is None:
            continue
        round_trips_ns = (
            longest_round_trip(*both_ways(topology, one), packets_of(topology, one), delays_ns)
            for one in topology.instances(workload)
        )
        if (longest_ns := max(round_trips_ns, default=0)) > reach.round_trip_ns:
            present, most = units.DURATION.format(longest_ns), units.DURATION.format(reach.round_trip_ns)
            message = f"crosses a round trip of {present}; {workload.kind} works over {most} at most"
            yield Fault(path, "path-too-long", message, reach.why)


def both_ways(topology: Topology, workload: WorkloadKeys | Work) -> tuple[tuple[Hop, ...], tuple[Hop, ...]]:
    """Return the hops of a workload's packets, and of the answers; none if it stays in one node."""
    source, destination, network = _ends(workload)
    if source == destination:
        return (), ()
    graph = topology.graphs[topology.family(workload)]
    there = graph.path(source, destination, network) or ()
    return there, graph.answers(there)


def separated(
    on: Mapping[str, Collection[str]], groups: Iterable[Iterable[str]], *, one_way: bool = False
) -> Iterator[LinkKey]:
    """Yield the links between nodes of different groups.

    Args:
        on: the networks of each node.
        groups: groups of nodes.
        one_way: only those from a group to one after it.
    """
    for sources, destinations in combinations(groups, 2) if one_way else permutations(groups, 2):
        for source, destination in product(sources, destinations):
            yield from (LinkKey(source, destination, name) for name in on[source] if name in on[destination])


def _workloads(topology: Topology) -> Iterator[tuple[tuple[str | int, ...], WorkloadKeys | Work]]:
    """Yield each workload with its path in the file."""
    for number, entry in enumerate(topology.workloads):
        if isinstance(entry, Together):
            yield from (
                (("workloads", number, "together", place), workload) for place, workload in enumerate(entry.together)
            )
        else:
            yield ("workloads", number), entry


def _ends(workload: WorkloadKeys | Work) -> tuple[str, str, str | None]:
    return workload.source, workload.destination, workload.network
