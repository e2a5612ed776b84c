"""Draws the faults of a file's `chaos` from the seed, as entries of a timeline.

What is drawn is what a file could say, so that it can be read, repeated, shortened and run again.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product
from types import MappingProxyType
from typing import Any

from testbed.seeds import derive
from testbed.topology.base import Fault
from testbed.topology.chaos import Chaos, Mean
from testbed.topology.events import ImpairmentChange
from testbed.topology.models import Topology
from testbed.topology.problems import nearest, quote
from testbed.topology.steps import length_ns
from testbed.topology.timeline_state import TimelineState

Entry = dict[str, Any]
"""An entry of `timeline`, as a file has it."""

_Link = tuple[str, str]

_MS = 1_000_000
_SHORTEST_NS = 100 * _MS
"""Of a fault: a shorter one would be over before it could be carried out on a busy machine."""

_LOSS_PERCENT = (10, 60)
_MORE_DELAY_MS = (50, 500)
_SLOW_NAME_MS = (100, 3000)
_CPUS_PERCENT = (5, 50)
_FLAPS = 3
"""How often a flapping link goes down."""


def drawn(topology: Topology, seed: int) -> tuple[Entry, ...]:
    """Return the faults of a topology's chaos for a seed, in the order of time: the same for the same seed."""
    chaos = topology.chaos
    until_ns = _until_ns(topology)
    if chaos is None or until_ns is None:
        return ()
    nodes = _nodes(topology, chaos)
    return tuple(_Draw(topology, chaos, until_ns, random.Random(derive(seed, "chaos")), nodes).entries())


def chaos_faults(topology: Topology) -> Iterator[Fault]:
    """Yield what is wrong with the chaos of a file that is otherwise valid."""
    chaos = topology.chaos
    if chaos is None:
        return
    known = [*topology.nodes, *topology.groups]
    for number, name in enumerate(chaos.nodes):
        if name not in known:
            said = f"names {quote(name)}, which is not a node"
            yield Fault(("chaos", "nodes", number), "unknown-node", said, nearest(name, known, "nodes"))
            return
    if topology.timeline:
        message, hint = "and a timeline exclude each other", "run with either, or take what chaos drew as the timeline"
        yield Fault(("chaos",), "contradicting-keys", message, hint, at_key=True)
    end_ns = length_ns(topology)
    if chaos.until_ns is None and end_ns is None:
        hint = "some workloads end when they are done: say until when, such as until: 30s"
        yield Fault(("chaos",), "missing-key", 'lacks "until", and how long the workloads take is unknown', hint)
    elif chaos.until_ns is not None and end_ns is not None and chaos.until_ns > end_ns:
        hint = "leave it out, or lengthen the workloads"
        yield Fault(("chaos", "until"), "event-after-end", "is after the end of the workloads", hint)
    of_links = {"partition", "loss", "delay", "flap"} & {*chaos.faults}
    if of_links and not _links(topology, _nodes(topology, chaos)):
        message = f"has {', '.join(sorted(of_links))}, and no two of its nodes share a network"
        yield Fault(("chaos",), "not-linked", message, "name nodes that do, or only faults of nodes")
    if chaos.most_down is not None and chaos.most_down > len(_nodes(topology, chaos)):
        yield Fault(("chaos", "most_down"), "too-many", "is more than there are nodes", "")


def _until_ns(topology: Topology) -> int | None:
    return length_ns(topology) if topology.chaos is None or topology.chaos.until_ns is None else topology.chaos.until_ns


def _nodes(topology: Topology, chaos: Chaos) -> tuple[str, ...]:
    return topology.members(*chaos.nodes) if chaos.nodes else tuple(topology.nodes)


def _links(topology: Topology, nodes: tuple[str, ...]) -> list[_Link]:
    """Return the pairs of nodes that share exactly one network, so that their names say which link is meant."""
    on = {node: {*topology.attachments(node)} for node in nodes}
    return [pair for pair in combinations(nodes, 2) if len(on[pair[0]] & on[pair[1]]) == 1]


@dataclass
class _Draw:
    """Draws one fault after the other, and knows what those before it disturb, and until when."""

    topology: Topology
    chaos: Chaos
    until_ns: int
    random: random.Random
    nodes: tuple[str, ...]
    links: list[_Link] = field(init=False)
    state: TimelineState = field(init=False)
    down: dict[str, int] = field(default_factory=dict)
    changed: dict[_Link, int] = field(default_factory=dict)
    hindered: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.links = _links(self.topology, self.nodes)
        self.state = TimelineState(self.topology)

    def entries(self) -> Iterator[Entry]:
        """Yield what happens, in the order of time."""
        at_ns = self._time(self.chaos.every)
        while at_ns + _SHORTEST_NS <= self.until_ns - _MS:
            lasting_ns = min(max(self._time(self.chaos.lasting), _SHORTEST_NS), self.until_ns - _MS - at_ns)
            for kind in self.random.sample(self.chaos.faults, len(self.chaos.faults)):
                if entry := _KINDS[kind](self, at_ns, lasting_ns):
                    yield {"at": _text(at_ns), **entry}
                    break
            at_ns += max(self._time(self.chaos.every), _MS)

    def _time(self, mean: Mean) -> int:
        return int(self.random.expovariate(1 / mean.mean_ns)) // _MS * _MS

    def more_down(self, at_ns: int) -> int:
        """Return how many further nodes may go down at a time."""
        most = (len(self.nodes) - 1) // 2 if self.chaos.most_down is None else self.chaos.most_down
        return most - sum(until_ns >= at_ns for until_ns in self.down.values())

    def up(self, at_ns: int) -> list[str]:
        """Return the nodes that are not down at a time."""
        return [node for node in self.nodes if self.down.get(node, -1) < at_ns]

    def node(self, at_ns: int, lasting_ns: int) -> str | None:
        """Choose a node that may go down, and take it down for a time."""
        free = self.up(at_ns)
        if not free or self.more_down(at_ns) < 1:
            return None
        chosen = self.random.choice(free)
        self.down[chosen] = at_ns + lasting_ns
        return chosen

    def hinder(self, what: str, at_ns: int, lasting_ns: int) -> str | None:
        """Choose a node that is up and does not have this fault, and give it the fault for a time."""
        free = [node for node in self.up(at_ns) if self.hindered.get((what, node), -1) < at_ns]
        if not free:
            return None
        chosen = self.random.choice(free)
        self.hindered[what, chosen] = at_ns + lasting_ns
        return chosen

    def link(self, at_ns: int, lasting_ns: int, keys: Mapping[str, str] = MappingProxyType({})) -> Entry | None:
        """Choose a link that may have these keys, in both directions, and take it for a time."""
        free = [link for link in self.links if self.changed.get(link, -1) < at_ns and self._possible(link, keys)]
        if not free:
            return None
        chosen = self.random.choice(free)
        self.changed[chosen] = at_ns + lasting_ns
        return {"link": {"between": [*chosen]}, **keys}

    def _possible(self, link: _Link, keys: Mapping[str, str]) -> bool:
        event = {"at": "0s", "link": {"between": [*link]}, **keys}
        return not keys or not any(self.state.contradictions(ImpairmentChange.model_validate(event)))

    def longest_delay_ms(self) -> int:
        """Return the longest delay of the links that faults happen to, which a fault's is added to."""
        of_file = (
            impairments.delay_ns for key, impairments in self.state.file.items() if {*key.nodes} <= {*self.nodes}
        )
        return max(of_file, default=0) // _MS


def _text(time_ns: int) -> str:
    return f"{time_ns // _MS}ms"


def _pause(draw: _Draw, at_ns: int, lasting_ns: int) -> Entry | None:
    node = draw.node(at_ns, lasting_ns)
    return {"node": node, "pause": _text(lasting_ns)} if node else None


def _kill(draw: _Draw, at_ns: int, lasting_ns: int) -> Entry | None:
    node = draw.node(at_ns, lasting_ns)
    return {"node": node, "kill": _text(lasting_ns)} if node else None


def _restart(draw: _Draw, at_ns: int, lasting_ns: int) -> Entry | None:
    node = draw.node(at_ns, lasting_ns)
    return {"node": node, "restart": True} if node else None


def _loss(draw: _Draw, at_ns: int, lasting_ns: int) -> Entry | None:
    change = draw.link(at_ns, lasting_ns, {"loss": f"{draw.random.randint(*_LOSS_PERCENT)}%"})
    return change and {**change, "for": _text(lasting_ns)}


def _delay(draw: _Draw, at_ns: int, lasting_ns: int) -> Entry | None:
    longer_ms = draw.longest_delay_ms() + draw.random.randint(*_MORE_DELAY_MS)
    change = draw.link(at_ns, lasting_ns, {"delay": f"{longer_ms}ms"})
    return change and {**change, "for": _text(lasting_ns)}


def _flap(draw: _Draw, at_ns: int, lasting_ns: int) -> Entry | None:
    every_ns = max(lasting_ns // _FLAPS, _SHORTEST_NS) // _MS * _MS
    down_ns = every_ns // 2 // _MS * _MS
    change = draw.link(at_ns, lasting_ns)
    times = {"every": _text(every_ns), "until": _text(at_ns + lasting_ns - down_ns), "down": _text(down_ns)}
    return change and {**change, **times}


def _partition(draw: _Draw, at_ns: int, lasting_ns: int) -> Entry | None:
    """Cut a few nodes off from the others; those cut off count as down."""
    up = draw.up(at_ns)
    most = min(draw.more_down(at_ns), len(up) - 1)
    if most < 1:
        return None
    few = draw.random.sample(up, draw.random.randint(1, most))
    rest = [node for node in draw.nodes if node not in few]
    cut = {pair for one, other in product(few, rest) for pair in ((one, other), (other, one))} & {*draw.links}
    if not cut or any(draw.changed.get(link, -1) >= at_ns for link in cut):
        return None
    draw.changed |= dict.fromkeys(cut, at_ns + lasting_ns)
    draw.down |= dict.fromkeys(few, at_ns + lasting_ns)
    return {"partition": [sorted(few), rest], "for": _text(lasting_ns)}


def _dns(draw: _Draw, at_ns: int, lasting_ns: int) -> Entry | None:
    if len(draw.nodes) == 1 or (node := draw.hinder("dns", at_ns, lasting_ns)) is None:
        return None
    name = draw.random.choice([other for other in draw.nodes if other != node])
    slow = {"slow": f"{draw.random.randint(*_SLOW_NAME_MS)}ms"}
    wrong = draw.random.choice([{"fails": "nxdomain"}, {"fails": "servfail"}, slow])
    return {"node": node, "dns": {"name": name, **wrong}, "for": _text(lasting_ns)}


def _cpus(draw: _Draw, at_ns: int, lasting_ns: int) -> Entry | None:
    node = draw.hinder("cpus", at_ns, lasting_ns)
    return {"node": node, "cpus": draw.random.randint(*_CPUS_PERCENT) / 100, "for": _text(lasting_ns)} if node else None


_KINDS: Mapping[str, Callable[[_Draw, int, int], Entry | None]] = MappingProxyType(
    {
        "partition": _partition,
        "pause": _pause,
        "kill": _kill,
        "restart": _restart,
        "loss": _loss,
        "delay": _delay,
        "flap": _flap,
        "dns": _dns,
        "cpus": _cpus,
    }
)
"""What draws each kind of fault; None where nothing can have it at that moment."""
