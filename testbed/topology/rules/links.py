"""Links lead somewhere and ask for something possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from testbed.matching import LinkKey, Match, covers
from testbed.topology.base import DEFERRED, Fault
from testbed.topology.document import Path
from testbed.topology.ends import AnyEnds, LinkEnds, WireEnds
from testbed.topology.error_messages import show
from testbed.topology.groups import Precedence, links_between, precedence
from testbed.topology.link_entries import Downlink, LinkEntry, MatrixLinks, Uplink, Wire
from testbed.topology.problems import nearest, quote
from testbed.topology.rules import references
from testbed.topology.rules.parts import Parts, readable
from testbed.topology.values import SMALLEST_MTU

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.topology.networks import NetworkKeys

_ENDS: TypeAdapter[LinkEnds] = TypeAdapter(AnyEnds, config=DEFERRED)

_Ends = LinkEnds | MatrixLinks | WireEnds

_Seen = dict[LinkKey, dict[tuple[Precedence, Match | None], Path]]
"""Where links were named: by direction (a key without a match), then by the precedence of the entry and its match."""


def links(parts: Parts) -> Iterator[Fault]:
    """Ends exist and share a network, impairments are possible, and each entry has packets of its own."""
    seen: _Seen = {}
    for path, raw in parts.items("links"):
        link = parts.link(raw)
        ends = link or _readable_ends(parts, path, raw)
        if ends is None:
            continue
        yield from _named(parts, path, ends)
        if link is not None:
            yield from match_faults(path, ends)
        if isinstance(ends, WireEnds) and {*ends.wire} & {*parts.groups}:
            continue  # the rules of wires have said so
        yield from _directions(parts, path, link, ends, seen if is_sound(raw, ends) else None)


def _readable_ends(parts: Parts, path: Path, raw: object) -> _Ends | None:
    """The ends of an entry that is otherwise not valid; None if they can't be read."""
    if isinstance(raw, dict) and "matrix" in raw:
        return None
    return parts.wires.get(path) or readable(raw, _ENDS, "between", "from", "to", "network")


def _directions(parts: Parts, path: Path, link: LinkEntry | None, ends: _Ends, seen: _Seen | None) -> Iterator[Fault]:
    """In each direction nodes share a network, impairments are possible, and earlier entries leave packets.

    Args:
        parts: of the file.
        path: of the entry.
        link: the entry; None where it is not valid.
        ends: of the entry.
        seen: where each link was named before, to which those of the entry are added; None where its match is unknown.
    """
    taken = None
    for source, destination in dict.fromkeys(ends.directions):
        network = references.shared_network(parts, path, source, destination, ends.network)
        if isinstance(network, Fault):
            yield network
            break
        if network is not None and seen is not None:
            fault = _taken(parts, path, ends, (source, destination, network), seen)
            taken = taken or fault
        if link is not None:
            crossed = link if isinstance(link, Wire) else _network(parts, network)
            mtu = crossed.mtu if crossed else SMALLEST_MTU
            if isinstance(link, Uplink | Downlink):
                yield from _access(parts, path, link, network)
            faults = [one.under(*path) for one in _contradictions(link, source, destination, mtu)]
            yield from faults
            if faults:
                break
    if taken:
        yield taken


def _access(parts: Parts, path: Path, link: Uplink | Downlink, network: str | None) -> Iterator[Fault]:
    """An uplink or downlink does something, on a network of the lab's own, and has no part in routes."""
    if not (link.impairment_keys.model_fields_set or link.match):
        other = "to" if isinstance(link, Uplink) else "from"
        said = f'lacks "{other}"; without it, it is the {link}, and names no impairments'
        hint = f"add {other} for a link to another node, or impairments such as rate: 5mbit"
        yield Fault(path, "missing-key", said, hint)
    if link.cost is not None:
        said = f"is given for the {link}, and routes lead over links between two nodes"
        yield Fault((*path, "cost"), "conflicting-keys", said, "leave it out")
    crossed = parts.networks.get(str(network))
    if crossed and crossed.present:
        said = f"is the {link} on {network}, a network that is there already, whose ports stay as they are"
        yield Fault(path, "open-network", said, "impair the links between two nodes there")


def _network(parts: Parts, name: object) -> NetworkKeys | Wire | None:
    """The network or wire of that name; None where there is none that is valid."""
    for path, ends in parts.wires.items():
        if ends.network == name:
            return parts.model(parts.document.value(path), Wire)
    return parts.networks.get(str(name))


def _contradictions(link: LinkEntry, source: str, destination: str, mtu: int) -> Iterator[Fault]:
    for fault in link.keys_between(source, destination).contradictions(mtu=mtu):
        if isinstance(link, MatrixLinks):
            said = f"has a row {source} and a column {destination} whose {show(fault.path)} {fault.said}"
            yield fault._replace(path=("matrix",), said=said)
        else:
            yield fault


def _named(parts: Parts, path: Path, ends: _Ends) -> Iterator[Fault]:
    """All nodes and groups exist; of a matrix they come once, and are in it."""
    if not isinstance(ends, MatrixLinks):
        yield from references.link_ends(parts, path, ends)
        return
    for index, name in enumerate(ends.between):
        at = (*path, "between", index)
        yield from references.node(parts, at, name)
        if name not in ends.matrix.names:
            said = f"names {quote(name)}, for which the matrix has no row and column"
            yield Fault(at, "not-in-matrix", said, nearest(name, ends.matrix.names, "those of the matrix"))
        if name in ends.between[:index]:
            yield Fault(at, "duplicate-node", f"names {quote(name)} a second time")


def _taken(parts: Parts, path: Path, ends: _Ends, direction: tuple[str, str, str], seen: _Seen) -> Fault | None:
    """Return the fault that links before this one take its packets.

    They do if one of the same precedence is about the same direction and packets, or if the matches of some together
    select all that its match selects; between two members of groups is enough.

    Args:
        parts: of the file.
        path: of the link.
        ends: the link, or its ends.
        direction: the names of source and destination, of nodes or groups, and of the network.
        seen: where each link was named before; this one is added.
    """
    source, destination, network = direction
    match = ends.match
    place = precedence(ends, source, destination, parts.groups), match
    fault = None
    for key in links_between(parts.members(source), parts.members(destination), network):
        before = seen.setdefault(key, {})
        is_other = before.get(place, path) != path
        if is_other and isinstance(ends, WireEnds) and before[place] in parts.wires:
            continue  # their names tell wires apart
        if fault is None and is_other:
            packets = f", {match}" if match else ""
            first = before[place]
            said = (
                f"is about {source} and {destination} on {network}{packets}, "
                f"as is {show(first)} at line {parts.line(first)}"
            )
            hint = "keep one of them, or let one be about some packets only: match: {protocol: udp}"
            fault = Fault(path, "duplicate-link", said, hint)
        elif fault is None and match:
            fault = _unreachable(parts, path, key, match, before)
        before[place] = path
    return fault


def _unreachable(
    parts: Parts, path: Path, link: LinkKey, match: Match, before: Mapping[tuple[Precedence, Match | None], Path]
) -> Fault | None:
    """Return the fault that the entries before this one take all packets of a link that it is for."""
    earlier = {other: at for (_, other), at in before.items() if other}
    if match in earlier or not covers(earlier, match):
        return None
    takers = [other for other in earlier if covers([other], match)] or list(earlier)
    places = " and ".join(f"{show(earlier[taker])} at line {parts.line(earlier[taker])}" for taker in takers)
    take = "take" if len(takers) > 1 else "takes"
    said = f"is {match}, and {places} {take} all of that on {link.plain.name}"
    return Fault((*path, "match"), "unreachable-match", said, "the first line that matches counts: move it up")


def match_faults(path: Path, ends: _Ends) -> Iterator[Fault]:
    """Yield the contradictions in the match of a link that `path` leads to."""
    if ends.selected:
        yield from (fault.under(*path, "match") for fault in ends.selected.faults())


def is_sound(raw: object, ends: _Ends) -> bool:
    """Whether the match of the raw data, if it has one, could be read and doesn't contradict itself."""
    has_match = isinstance(raw, dict) and "match" in raw
    return not any(match_faults((), ends)) and has_match == (ends.selected is not None)
