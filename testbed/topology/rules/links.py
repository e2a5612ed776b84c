"""Links lead somewhere and ask for something possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from testbed.topology.base import Fault
from testbed.topology.document import Path
from testbed.topology.ends import AnyEnds, DirectionEnds, PairEnds
from testbed.topology.error_messages import show
from testbed.topology.models import SMALLEST_MTU, Direction, Pair
from testbed.topology.rules import references
from testbed.topology.rules.parts import Parts, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDS: TypeAdapter[PairEnds | DirectionEnds] = TypeAdapter(AnyEnds)

_Seen = dict[tuple[bool, str, str, str], Path]
"""Where a direction was named: by whether its link names both, source, destination and network."""


def links(parts: Parts) -> Iterator[Fault]:
    """Ends exist and share a network, impairments can be had, no two links of a form are about the same direction."""
    seen: _Seen = {}
    for path, raw in parts.items("links"):
        link = parts.model(raw, Pair) or parts.model(raw, Direction)
        ends = link or readable(raw, _ENDS, "between", "from", "to", "network")
        if ends is None:
            continue
        yield from references.link_ends(parts, path, ends)
        network = references.shared_network(parts, path, *ends.directions[0], ends.network)
        if isinstance(network, Fault):
            yield network
        elif network is not None:
            yield from _duplicates(parts, path, ends, network, seen)
        if link is not None:
            crossed = parts.networks.get(str(network))
            mtu = crossed.mtu if crossed else SMALLEST_MTU
            yield from (fault.under(*path) for fault in link.impairment_keys.contradictions(mtu=mtu))


def _duplicates(parts: Parts, path: Path, ends: PairEnds | DirectionEnds, network: str, seen: _Seen) -> Iterator[Fault]:
    """No link before this one, of the same form, is about the same direction; notes this one in `seen`."""
    keys = [(isinstance(ends, PairEnds), *direction, network) for direction in ends.directions]
    first = next((seen[key] for key in keys if key in seen), None)
    if first is not None:
        source, destination = ends.directions[0]
        said = f"is about {source} and {destination} on {network}, as is {show(first)} at line {parts.line(first)}"
        yield Fault(path, "duplicate-link", said, "keep one of them")
    seen.update(dict.fromkeys(keys, path))
