"""Links lead somewhere and ask for something possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from testbed.matching import LinkKey, Match, covers
from testbed.topology.base import Fault
from testbed.topology.document import Path
from testbed.topology.ends import AnyEnds, DirectionEnds, PairEnds, WireEnds
from testbed.topology.error_messages import show
from testbed.topology.models import SMALLEST_MTU, Direction, Network, Pair, Wire
from testbed.topology.rules import references
from testbed.topology.rules.parts import Parts, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDS: TypeAdapter[PairEnds | DirectionEnds] = TypeAdapter(AnyEnds)

_Seen = dict[tuple[bool, LinkKey], Path]
"""Where a link was named: by whether its entry names both directions, and the link."""


def links(parts: Parts) -> Iterator[Fault]:
    """Ends exist and share a network, impairments can be had, and each entry is for packets that no other one takes."""
    seen: _Seen = {}
    for path, raw in parts.items("links"):
        link = parts.model(raw, Pair) or parts.model(raw, Direction) or parts.model(raw, Wire)
        ends = link or parts.wires.get(path) or readable(raw, _ENDS, "between", "from", "to", "network")
        if ends is None:
            continue
        yield from references.link_ends(parts, path, ends)
        network = references.shared_network(parts, path, *ends.directions[0], ends.network)
        if isinstance(network, Fault):
            yield network
        elif network is not None and is_sound(raw, ends):
            yield from _duplicates(parts, path, ends, network, seen)
        if link is not None:
            yield from match_faults(path, ends)
            crossed = link if isinstance(link, Wire) else _network(parts, network)
            mtu = crossed.mtu if crossed else SMALLEST_MTU
            yield from (fault.under(*path) for fault in link.impairment_keys.contradictions(mtu=mtu))


def _network(parts: Parts, name: object) -> Network | Wire | None:
    """The network or wire of that name; None where there is none that is valid."""
    for path, ends in parts.wires.items():
        if ends.network == name:
            return parts.model(parts.document.value(path), Wire)
    return parts.networks.get(str(name))


def _duplicates(
    parts: Parts, path: Path, ends: PairEnds | DirectionEnds | WireEnds, network: str, seen: _Seen
) -> Iterator[Fault]:
    """No link before this one, of the same form, is about the same direction; notes this one in `seen`."""
    links = [LinkKey(*direction, network, ends.match) for direction in ends.directions]
    keys = [(not isinstance(ends, DirectionEnds), link) for link in links]
    first = next((seen[key] for key in keys if key in seen), None)
    if first is not None and not (isinstance(ends, WireEnds) and first in parts.wires):  # their names tell wires apart
        source, destination = ends.directions[0]
        packets = f", {ends.match}" if ends.match else ""
        said = (
            f"is about {source} and {destination} on {network}{packets}, "
            f"as is {show(first)} at line {parts.line(first)}"
        )
        yield Fault(path, "duplicate-link", said, "keep one of them")
    elif ends.match:
        yield from _unreachable(parts, path, links, ends.match, seen)
    seen.update(dict.fromkeys(keys, path))


def _unreachable(parts: Parts, path: Path, links: list[LinkKey], match: Match, seen: _Seen) -> Iterator[Fault]:
    """Yield a fault if the entries before take all packets that an entry is for, in one of its directions."""
    for link in links:
        earlier = {key.match: at for (_, key), at in seen.items() if key.match and key.plain == link.plain}
        if match not in earlier and covers(earlier, match):
            takers = [other for other in earlier if covers([other], match)] or list(earlier)
            places = " and ".join(f"{show(earlier[taker])} at line {parts.line(earlier[taker])}" for taker in takers)
            take = "take" if len(takers) > 1 else "takes"
            said = f"is {match}, and {places} {take} all of that from {link.source} to {link.destination}"
            yield Fault((*path, "match"), "unreachable-match", said, "the first line that matches counts: move it up")
            return


def match_faults(path: Path, ends: PairEnds | DirectionEnds | WireEnds) -> Iterator[Fault]:
    """Yield the contradictions in the match of a link that `path` leads to."""
    if ends.selected:
        yield from (fault.under(*path, "match") for fault in ends.selected.faults())


def is_sound(raw: object, ends: PairEnds | DirectionEnds | WireEnds) -> bool:
    """Whether the match of the raw data, if it has one, could be read and doesn't contradict itself."""
    has_match = isinstance(raw, dict) and "match" in raw
    return not any(match_faults((), ends)) and has_match == (ends.selected is not None)
