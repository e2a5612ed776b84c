"""A drawing of a plan: nodes below each other, networks as lines to their left, links as arcs to their right.

This layout keeps any number of nodes legible. Similar nodes share a box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.matching import LinkKey
    from testbed.plan.model import Link, Node, Plan

_MOST_LINKS = 40
_MOST_NODES = 40
_ROW = 44
_BOX = 28
_NETWORK = 26
_LABEL_ROW = 20
_LETTER = 7.6
_SMALL_LETTER = 6.6
_ARC = 16
_LEFT = 8
_FEW = 3
"""Up to this number, similar nodes are drawn one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The box of one node, or of several similar nodes.

    Attributes:
        name: of the node, or of the first and the last.
        count: the number of nodes.
        y, width: position of its middle, and its width, pixels.
        networks: numbers of the networks that it is on.
    """

    name: str
    count: int
    y: float
    width: float
    networks: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """A link between two boxes, or two links with the same impairments in both directions.

    Attributes:
        top, bottom: y of its ends, pixels.
        x: of its vertical part.
        label: the impairments of the links; at `label_y`.
        to_top, to_bottom: whether there is a link to the box at that end.
    """

    top: float
    bottom: float
    x: float
    label: str
    label_y: float
    to_top: bool
    to_bottom: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLine:
    """The line of a network, to which its nodes are connected, and its label."""

    label: str
    x: float
    y: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A drawing for the template.

    Attributes:
        left, right: edges of the column of boxes; boxes begin at `left`.
        label_x: where the labels of links begin.
        links_left_out: number of links beyond the limit, which are not drawn.
        folded: whether the drawing is hidden until the reader opens it.
    """

    title: str
    networks: Sequence[NetworkLine]
    boxes: Sequence[Box]
    arcs: Sequence[Arc]
    left: float
    right: float
    label_x: float
    width: float
    height: float
    links_left_out: int
    folded: bool


def draw(plan: Plan) -> Drawing:
    """Draw the nodes of a plan, their networks, and the impairments of the links between them."""
    groups = _groups(plan)
    top = 12 + _LABEL_ROW * len(plan.networks) + _ROW / 2
    numbers = {network.name: number for number, network in enumerate(plan.networks)}
    boxes = [
        Box(
            name=_name(nodes),
            count=len(nodes),
            y=top + _ROW * row,
            width=max(96.0, 28 + _LETTER * len(_name(nodes)) + (76 if len(nodes) > 1 else 0)),
            networks=tuple(numbers[interface.network] for interface in nodes[0].interfaces),
        )
        for row, nodes in enumerate(groups)
    ]
    left = _LEFT + _NETWORK * len(plan.networks) + 18
    right = left + max((box.width for box in boxes), default=0)
    places = {node.name: row for row, nodes in enumerate(groups) for node in nodes}
    pairs = _pairs(plan, places)
    arcs = _arcs(pairs, boxes, right) if len(pairs) <= _MOST_LINKS else []
    label_x = max((arc.x for arc in arcs), default=right) + 12
    networks = [
        _network(plan, number, [box for box in boxes if number in box.networks]) for number in range(len(plan.networks))
    ]
    names = max((line.x + 10 + _SMALL_LETTER * len(line.label) for line in networks), default=0)
    labels = max((label_x + _SMALL_LETTER * len(arc.label) for arc in arcs), default=right)
    bottom = max([top + _ROW * (len(boxes) - 0.5), *(arc.label_y + 14 for arc in arcs)])
    return Drawing(
        title=f"Topology of {plan.topology}",
        networks=networks,
        boxes=boxes,
        arcs=arcs,
        left=left,
        right=right,
        label_x=label_x,
        width=max(names, labels, right) + 12,
        height=bottom,
        links_left_out=0 if arcs else len(plan.links),
        folded=len(boxes) > _MOST_NODES,
    )


def _groups(plan: Plan) -> list[list[Node]]:
    """Group numbered nodes that are on the same networks and have equal links; other nodes are groups of one."""
    links: dict[str, list[tuple[str, str, str, str]]] = {}
    for link in plan.links:
        does = f"{link.match or ''} {link.impairments.describe()}"
        links.setdefault(link.source, []).append(("to", link.destination, link.network, does))
        links.setdefault(link.destination, []).append(("from", link.source, link.network, does))
    by_place: dict[object, list[Node]] = {}
    for node in plan.nodes:
        networks = tuple(interface.network for interface in node.interfaces)
        stem = node.name.rstrip("0123456789")
        by_place.setdefault((stem, networks, tuple(sorted(links.get(node.name, [])))), []).append(node)
    groups = [
        part for nodes in by_place.values() for part in ([nodes] if len(nodes) > _FEW else [[node] for node in nodes])
    ]
    order = {node.name: number for number, node in enumerate(plan.nodes)}
    return sorted(groups, key=lambda nodes: order[nodes[0].name])


def _name(nodes: Sequence[Node]) -> str:
    return nodes[0].name if len(nodes) == 1 else f"{nodes[0].name} … {nodes[-1].name}"


def _network(plan: Plan, number: int, boxes: Sequence[Box]) -> NetworkLine:
    network = plan.networks[number]
    y = 14 + _LABEL_ROW * number
    label = f"{network.name}   {network.subnet}   MTU {network.mtu}"
    bottom = max((box.y for box in boxes), default=y)
    return NetworkLine(label=label, x=_LEFT + _NETWORK * number, y=y, bottom=bottom)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """The links between two boxes, given by their rows; `down` and `up` say which directions exist."""

    top: int
    bottom: int
    label: str
    down: bool
    up: bool


def _pairs(plan: Plan, places: dict[str, int]) -> list[_Pair]:
    """Return the distinct links between boxes; two directions with equal impairments are one entry."""
    several = len(plan.networks) > 1
    by_key = {link.key: link for link in plan.links}
    done: set[LinkKey] = set()
    pairs: dict[_Pair, None] = {}
    for link in plan.links:
        if link.key in done:
            continue
        back = by_key.get(link.key.back)
        both = back is not None and back.impairments == link.impairments
        done |= {link.key, link.key.back} if both else {link.key}
        rows = places[link.source], places[link.destination]
        down = rows[0] < rows[1]
        pair = _Pair(
            top=min(rows),
            bottom=max(rows),
            label=_label(link, several=several, both=both),
            down=both or down,
            up=both or not down,
        )
        pairs[pair] = None
    return [*pairs]


def _label(link: Link, *, several: bool, both: bool) -> str:
    packets = f"{link.match}: " if link.match else ""
    where = f" on {link.network}" if several else ""
    return f"{packets}{link.impairments.describe()}{where}{', each way' if both else ''}"


def _arcs(pairs: Iterable[_Pair], boxes: Sequence[Box], right: float) -> list[Arc]:
    """Place arcs, short ones nearest to the boxes, without crossings, and labels without overlaps."""
    placed: list[tuple[_Pair, int]] = []
    for pair in sorted(pairs, key=lambda pair: (pair.bottom - pair.top, pair.top)):
        taken = {level for other, level in placed if other.top <= pair.bottom and pair.top <= other.bottom}
        placed.append((pair, max(taken, default=-1) + 1))
    ends: dict[int, list[tuple[bool, int, int]]] = {}
    for number, (pair, level) in enumerate(placed):  # at a box: arcs that go up above those that go down
        ends.setdefault(pair.top, []).append((True, -level, number))
        ends.setdefault(pair.bottom, []).append((False, level, number))
    arcs: list[Arc] = []
    label_y = float("-inf")
    at = {
        (row, number, down): boxes[row].y + _BOX * ((place + 1) / (len(several) + 1) - 0.5)
        for row, several in ends.items()
        for place, (down, _, number) in enumerate(sorted(several))
    }
    for number, (pair, level) in sorted(enumerate(placed), key=lambda item: item[1][0].top + item[1][0].bottom):
        top, bottom = at[pair.top, number, True], at[pair.bottom, number, False]
        label_y = max(label_y + 16, (top + bottom) / 2)
        arcs.append(
            Arc(
                top=top,
                bottom=bottom,
                x=right + 18 + _ARC * level,
                label=pair.label,
                label_y=label_y,
                to_top=pair.up,
                to_bottom=pair.down,
            )
        )
    return arcs
