"""Links lead somewhere and ask for something possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from testbed.topology.base import Fault
from testbed.topology.document import Path
from testbed.topology.ends import AnyEnds, DirectionEnds, PairEnds
from testbed.topology.error_messages import show
from testbed.topology.models import SMALLEST_MTU, Direction, LinkEntry, MatrixLinks, Pair
from testbed.topology.problems import nearest, quote
from testbed.topology.rules import references
from testbed.topology.rules.parts import Parts, readable
from testbed.topology.timeline_state import Precedence, precedence

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDS: TypeAdapter[PairEnds | DirectionEnds] = TypeAdapter(AnyEnds)

_Ends = PairEnds | DirectionEnds | MatrixLinks

_Seen = dict[tuple[Precedence, str, str, str], Path]
"""Where a direction was named: by the precedence of its entry, source, destination and network."""


def links(parts: Parts) -> Iterator[Fault]:
    """Ends exist and share a network, impairments can be had, no two links of a form are about the same direction."""
    seen: _Seen = {}
    for path, raw in parts.items("links"):
        link = parts.model(raw, Pair) or parts.model(raw, Direction) or parts.model(raw, MatrixLinks)
        ends = link or (
            None
            if isinstance(raw, dict) and "matrix" in raw
            else readable(raw, _ENDS, "between", "from", "to", "network")
        )
        if ends is None:
            continue
        if isinstance(ends, MatrixLinks):
            yield from _matrix_ends(parts, path, ends)
        else:
            yield from references.link_ends(parts, path, ends)
        duplicate = None
        for source, destination in dict.fromkeys(ends.directions):
            network = references.shared_network(parts, path, source, destination, ends.network)
            if isinstance(network, Fault):
                yield network
                break
            if network is not None:
                duplicate = duplicate or _duplicate(parts, path, ends, (source, destination, network), seen)
            if link is not None:
                crossed = parts.networks.get(str(network))
                mtu = crossed.mtu if crossed else SMALLEST_MTU
                faults = [one.under(*path) for one in _contradictions(link, source, destination, mtu)]
                yield from faults
                if faults:
                    break
        if duplicate:
            yield duplicate


def _contradictions(link: LinkEntry, source: str, destination: str, mtu: int) -> Iterator[Fault]:
    for fault in link.keys_between(source, destination).contradictions(mtu=mtu):
        if isinstance(link, MatrixLinks):
            said = f"has a row {source} and a column {destination} whose {show(fault.path)} {fault.said}"
            yield fault._replace(path=("matrix",), said=said)
        else:
            yield fault


def _matrix_ends(parts: Parts, path: Path, ends: MatrixLinks) -> Iterator[Fault]:
    """All nodes and groups exist, come once, and are in the matrix."""
    for index, name in enumerate(ends.between):
        at = (*path, "between", index)
        yield from references.node(parts, at, name)
        if name not in ends.matrix.names:
            said = f"names {quote(name)}, for which the matrix has no row and column"
            yield Fault(at, "not-in-matrix", said, nearest(name, ends.matrix.names, "those of the matrix"))
        if name in ends.between[:index]:
            yield Fault(at, "duplicate-node", f"names {quote(name)} a second time")


def _duplicate(parts: Parts, path: Path, ends: _Ends, direction: tuple[str, str, str], seen: _Seen) -> Fault | None:
    """Return the fault that a link before this one, of the same precedence, is about the same direction.

    Args:
        parts: of the file.
        path: of the link.
        ends: the link, or its ends.
        direction: the names of source and destination, of nodes or groups, and of the network.
        seen: where each direction was named before; this one is added.
    """
    source, destination, network = direction
    rank = precedence(ends, source, destination, parts.groups)
    keys = [
        (rank, sender, receiver, network)
        for sender in parts.members(source)
        for receiver in parts.members(destination)
        if sender != receiver
    ]
    first = next((seen[key] for key in keys if seen.get(key, path) != path), None)
    seen.update(dict.fromkeys(keys, path))
    if first is None:
        return None
    said = f"is about {source} and {destination} on {network}, as is {show(first)} at line {parts.line(first)}"
    return Fault(path, "duplicate-link", said, "keep one of them")
