"""Events are about links and nodes that there are, and change something."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from testbed import units
from testbed.families import is_address
from testbed.topology.base import Fault
from testbed.topology.event_times import Timed
from testbed.topology.events import Alternation, Flap, Heal, ImpairmentChange, Partition, Ramp, Rebind, RunEvent
from testbed.topology.groups import links_between
from testbed.topology.node_events import DiskEvent, DnsEvent, LastingEvent, NodeEvent, SettingEvent
from testbed.topology.problems import nearest, quote
from testbed.topology.rules import links, rebinding, references
from testbed.topology.timeline_state import separated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from testbed.matching import LinkKey
    from testbed.topology.document import Path
    from testbed.topology.ends import LinkEnds
    from testbed.topology.link_entries import LinkEntry
    from testbed.topology.rules.parts import Parts

_SHORTER = "let it last less than every"


def events(parts: Parts) -> Iterator[Fault]:
    """What an event names exists, and the event changes something."""
    for path, raw in parts.items("timeline"):
        for kind, faults in _FAULTS.items():
            if event := parts.model(raw, kind):
                yield from faults(parts, path, event)
        if timed := parts.model(raw, Timed):
            yield from _times(path, timed)


def _change(parts: Parts, path: Path, event: ImpairmentChange) -> Iterator[Fault]:
    yield from _link(parts, (*path, "link"), event.link)
    if not event.named:
        yield Fault(path, "missing-key", "names nothing that changes", "say what it changes, such as loss: 20%")


def _ramp(parts: Parts, path: Path, event: Ramp) -> Iterator[Fault]:
    yield from _link(parts, (*path, "link"), event.link)
    if not event.ramp.named:
        hint = "say what it changes, such as delay: 200ms"
        yield Fault((*path, "ramp"), "missing-key", "names nothing that changes", hint)


def _flap(parts: Parts, path: Path, event: Flap | Alternation) -> Iterator[Fault]:
    yield from _link(parts, (*path, "link"), event.link)


def _heal(parts: Parts, path: Path, event: Heal) -> Iterator[Fault]:
    if not isinstance(event.heal, str):
        yield from _link(parts, (*path, "heal"), event.heal)


def _run(parts: Parts, path: Path, event: RunEvent) -> Iterator[Fault]:
    yield from references.node(parts, (*path, "run", "in"), event.run.node)


def _of_node(parts: Parts, path: Path, event: NodeEvent) -> Iterator[Fault]:
    yield from references.node(parts, (*path, "node"), event.node)
    if isinstance(event, DnsEvent):
        for answer in event.dns.answer:
            if answer not in parts.each and not is_address(answer):
                said, hint = f"names {quote(answer)}, which is not a node", nearest(answer, parts.each, "nodes")
                yield Fault((*path, "dns", "answer"), "unknown-node", said, hint)

    if isinstance(event, DiskEvent):
        yield from _disk(parts, path, event)


def _disk(parts: Parts, path: Path, event: DiskEvent) -> Iterator[Fault]:
    """Yield a fault if a disk can't be full, or slow, for lack of a size, or a speed, that only the node has."""
    disk = event.disk
    for member in parts.members(event.node):
        node = parts.each.get(member)
        if node is None or node.container or node.namespace:
            continue
        in_memory = [*(each.target for each in node.tmpfs), *_IN_MEMORY]
        is_in_memory = any(posixpath.join(disk.path, "").startswith(posixpath.join(each, "")) for each in in_memory)
        if disk.rate_bps is None and not is_in_memory:
            said = f"is {quote(disk.path)}, where node {member} has no file system of a size of its own"
            hint = f'only such a one is filled, never the machine\'s: give the node tmpfs: ["{disk.path}:size=64m"]'
            yield Fault((*path, "disk", "path"), "disk-not-own", said, hint)
            return
        if disk.rate_bps is not None and is_in_memory:
            said = f"is {quote(disk.path)}, which node {member} has in memory, where nothing is slow"
            yield Fault((*path, "disk", "path"), "no-disk", said, "name a directory on a disk, such as a volume's")
            return


_IN_MEMORY = ("/dev/shm", "/run")  # noqa: S108  # of every node; /run only of namespaces


def _times(path: Path, event: Timed) -> Iterator[Fault]:
    """Yield what is wrong with when an event happens."""
    if event.every_ns is None:
        if event.until_ns is not None:
            hint = "say every: 2s, or leave it out"
            yield Fault((*path, "until"), "until-without-every", "has no every beside it", hint)
        return
    if event.until_ns is not None and event.until_ns <= event.at_ns:
        said = f"is {units.DURATION.format(event.until_ns)}, and the event first happens at "
        yield Fault((*path, "until"), "until-too-early", said + units.DURATION.format(event.at_ns), "let it be later")
    if isinstance(event, Flap | Ramp):
        name, lasts_ns = ("down", event.down_ns) if isinstance(event, Flap) else ("ramp", event.ramp.over_ns)
        if lasts_ns >= event.every_ns:
            said = f"lasts {units.DURATION.format(lasts_ns)}, and begins again every "
            yield Fault((*path, name), "longer-than-every", said + units.DURATION.format(event.every_ns), _SHORTER)
    if isinstance(event, LastingEvent):
        if event.lasting.ns is None:
            hint = f"say for how long, less than every: {event.KEY}: {units.DURATION.format(event.every_ns // 2)}"
            yield Fault((*path, event.KEY), "endless-fault", "says no duration, and the event happens again", hint)
        elif event.lasting.ns >= event.every_ns:
            said = f"lasts {units.DURATION.format(event.lasting.ns)}, and begins again every "
            yield Fault((*path, event.KEY), "longer-than-every", said + units.DURATION.format(event.every_ns), _SHORTER)
    if isinstance(event, SettingEvent) and event.lasting_ns is not None and event.lasting_ns >= event.every_ns:
        said = f"lasts {units.DURATION.format(event.lasting_ns)}, and begins again every "
        yield Fault((*path, "for"), "longer-than-every", said + units.DURATION.format(event.every_ns), _SHORTER)


def _rebind(parts: Parts, entry: Path, event: Rebind) -> Iterator[Fault]:
    path, name = (*entry, "node"), event.node
    yield from references.node(parts, path, name)
    nodes = [parts.each[member] for member in parts.members(name) if member in parts.each]
    if not all(node.router and node.router.nat for node in nodes):
        routers = [other for other, one in parts.nodes.items() if one and one.router and one.router.nat]
        said = f"is {quote(name)}, which has no NAT"
        hint = nearest(name, routers, "nodes with a NAT") if routers else "give it one: router: {nat: {inside: [...]}}"
        yield Fault(path, "no-nat", said, hint)
    elif nodes:
        yield from rebinding.new_address(parts, entry, event)


def _link(parts: Parts, path: Path, ends: LinkEnds) -> Iterator[Fault]:
    yield from references.link_ends(parts, path, ends)
    network = references.shared_network(parts, path, *ends.directions[0], ends.network)
    if isinstance(network, Fault):
        yield network
        return
    yield from links.match_faults(path, ends)
    if network is not None and ends.selected and not any(ends.selected.faults()):
        yield from _unknown_match(parts, path, ends, network)


def _unknown_match(parts: Parts, path: Path, ends: LinkEnds, network: str) -> Iterator[Fault]:
    """Yield a fault if no entry under `links` is for the packets that an event names."""
    entries = [parts.link(raw) for _, raw in parts.items("links")]
    if None in entries:
        return  # one that is not valid may be meant
    known = {
        key
        for one in entries
        if one and one.selected and not any(one.selected.faults())
        for key in _expanded(parts, one, str(one.network or network))
    }
    for key in _expanded(parts, ends, network):
        if key not in known:
            way = key.plain.name
            allowed = sorted(str(other.match) for other in known if other.plain == key.plain)
            hint = nearest(str(ends.match), allowed, f"those of {way}")
            said = f"is {ends.match}, which no line under links about {way} is for"
            yield Fault((*path, "match"), "unknown-match", said, hint)
            return


def _expanded(parts: Parts, ends: LinkEnds | LinkEntry, network: str) -> Iterator[LinkKey]:
    match = ends.match
    for source, destination in ends.directions:
        yield from links_between(parts.members(source), parts.members(destination), network, match)


def _partition(parts: Parts, entry: Path, event: Partition) -> Iterator[Fault]:
    path: Path = (*entry, "partition")
    seen: set[str] = set()
    places: Iterable[str | int] = ("from", "to") if event.is_one_way else range(len(event.groups))
    for where, group in zip(places, event.groups, strict=True):
        for place, node in enumerate(group):
            at = (*path, where, place)
            yield from references.node(parts, at, node)
            if seen & {*parts.members(node)}:
                yield Fault(at, "duplicate-node", f"is {quote(node)}, which is in a group already")
            seen.update(parts.members(node))
    sides = [[member for name in group for member in parts.members(name)] for group in event.groups]
    if seen <= parts.on.keys() and not any(separated(parts.on, sides)):
        hint = "they share no network, so they don't reach each other anyway"
        yield Fault(path, "no-shared-network", "separates nothing", hint)


_FAULTS: Mapping[type[Any], Callable[[Parts, Path, Any], Iterator[Fault]]] = {
    ImpairmentChange: _change,
    Ramp: _ramp,
    Flap: _flap,
    Alternation: _flap,
    Heal: _heal,
    Partition: _partition,
    Rebind: _rebind,
    NodeEvent: _of_node,
    RunEvent: _run,
}
"""What is wrong with each kind of event."""
