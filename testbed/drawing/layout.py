"""Where things are in an SVG: boxes below each other, networks as lines to their left, connections to the right.

This layout keeps any number of nodes legible: lines never cross a box or a label, and a label has a row of its own.
Where most nodes have links to most others, lines would tell nothing: these links are a table instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.drawing.picture import Box, BoxConnection, Picture

MOST_CONNECTIONS = 60
"""Connections that have labels; of more, only wires are drawn."""

_DENSE = 2
"""Links for each box, on average, from which on they are a table."""

_FEW_LINKS = 20
"""Up to this number, links are drawn whatever they connect."""

_WIDEST_TABLE = 2400
"""Pixels; a wider one is left out."""

_TITLE = 16
_ROW = 44
_BOX = 28
_NETWORK = 26
_LABEL_ROW = 20
_LETTER = 7.8
_SMALL_LETTER = 7.0
_ARC = 16
_LEFT = 8
_MARGIN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedBox:
    """A box of the picture, with what is written in it.

    Attributes:
        y: of its middle, pixels.
        networks: indices of the networks that it is on.
        aside: text in a lighter colour, behind the name.
    """

    box: Box
    y: float
    networks: tuple[int, ...]
    aside: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """A connection between two boxes.

    Attributes:
        top, bottom: y of its ends, pixels.
        x: of its vertical part.
        labels: what is written at it; the first at `label_y`, others below.
        to_top, to_bottom: whether there is a link to the box at that end.
        wire: whether it is a cable of their own.
    """

    top: float
    bottom: float
    x: float
    labels: tuple[str, ...]
    label_y: float
    to_top: bool
    to_bottom: bool
    wire: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTableCell:
    """A text in the table of links: the impairments from the box of its row to that of its column, or a heading."""

    text: str
    x: float
    y: float
    heading: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLine:
    """The line of a network, to which its nodes are connected, and its label."""

    label: str
    x: float
    y: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A picture with a place for everything, pixels.

    Attributes:
        left, right: edges of the column of boxes.
        label_x: where the labels of connections begin.
        cells: of the table of links, if there is one.
        left_out: number of connections with impairments beyond the limits, which are not drawn, or have no labels.
    """

    networks: Sequence[NetworkLine]
    boxes: Sequence[PlacedBox]
    arcs: Sequence[Arc]
    left: float
    right: float
    label_x: float
    cells: Sequence[LinkTableCell]
    width: float
    height: float
    left_out: int


def layout(picture: Picture) -> Layout:
    """Place everything in a picture."""
    links = [connection for connection in picture.connections if not connection.wire]
    is_dense = len(links) > max(_FEW_LINKS, _DENSE * len(picture.boxes))
    top = _MARGIN + _LABEL_ROW * (len(picture.segments) + is_dense) + _ROW / 2
    boxes = _boxes(picture, top)
    left = _LEFT + _NETWORK * len(picture.segments) + 18
    right = left + max((_box_width(box) for box in boxes), default=0)
    drawn = [connection for connection in picture.connections if connection.wire or not is_dense]
    too_many = len(drawn) > MOST_CONNECTIONS
    if too_many:
        drawn = [connection for connection in drawn if connection.wire]
    arcs = _arcs(drawn, boxes, right, labelled=not too_many)
    label_x = max((arc.x for arc in arcs), default=right) + 12
    networks = _network_lines(picture, boxes)
    names = max((line.x + 10 + _SMALL_LETTER * len(line.label) for line in networks), default=0)
    labels = max((label_x + _SMALL_LETTER * len(label) for arc in arcs for label in arc.labels), default=label_x)
    cells = _table(links, boxes, labels + _MARGIN) if is_dense else []
    if is_too_wide := any(cell.x > labels + _WIDEST_TABLE for cell in cells):
        cells = []
    missing = picture.connections if too_many else links if is_too_wide else ()
    return Layout(
        networks=networks,
        boxes=boxes,
        arcs=arcs,
        left=left,
        right=right,
        label_x=label_x,
        cells=cells,
        width=max(names, labels, right, *(cell.x + _SMALL_LETTER * len(cell.text) for cell in cells)) + _MARGIN,
        height=max([top + _ROW * (len(boxes) - 0.5), *(arc.label_y + _TITLE * len(arc.labels) for arc in arcs)]),
        left_out=sum(connection.there is not None or connection.back is not None for connection in missing),
    )


def _boxes(picture: Picture, top: float) -> list[PlacedBox]:
    numbers = {segment.name: number for number, segment in enumerate(picture.segments)}
    return [
        PlacedBox(
            box=box,
            y=top + _ROW * row,
            networks=tuple(numbers[network] for network in box.networks),
            aside="   ".join([box.times] * (box.count > 1) + ["router"] * box.router + [*box.notes]),
        )
        for row, box in enumerate(picture.boxes)
    ]


def _network_lines(picture: Picture, boxes: Sequence[PlacedBox]) -> list[NetworkLine]:
    return [
        NetworkLine(
            label=f"{segment.name}   {segment.about}",
            x=_LEFT + _NETWORK * number,
            y=14 + _LABEL_ROW * number,
            bottom=max((box.y for box in boxes if number in box.networks), default=14 + _LABEL_ROW * number),
        )
        for number, segment in enumerate(picture.segments)
    ]


def _table(links: Iterable[BoxConnection], boxes: Sequence[PlacedBox], left: float) -> list[LinkTableCell]:
    """Return a table of links from the boxes in rows to those in columns, with a column for each that has any."""
    texts: dict[tuple[int, int], list[str]] = {}
    for link in links:
        for ends, text in (((link.first, link.second), link.there), ((link.second, link.first), link.back)):
            shown = f"{link.with_packets(text or '')}{f' on {link.network}' * bool(link.network)}"
            if text is not None and shown not in texts.setdefault(ends, []):
                texts[ends].append(shown)
    cells: list[LinkTableCell] = []
    x = left
    for column in sorted({destination for (_, destination), text in texts.items() if text}):
        heading = f"to {boxes[column].box.name}"
        entries = {row: "; ".join(text) for (row, to), text in texts.items() if to == column and text}
        cells.append(LinkTableCell(text=heading, x=x, y=boxes[0].y - _BOX, heading=True))
        cells += [LinkTableCell(text=text, x=x, y=boxes[row].y + 4, heading=False) for row, text in entries.items()]
        x += _SMALL_LETTER * max(map(len, (heading, *entries.values()))) + 2 * _MARGIN
    return cells


def _box_width(placed: PlacedBox) -> float:
    aside = 16 + _SMALL_LETTER * len(placed.aside) if placed.aside else 0
    return max(96.0, 28 + _LETTER * len(placed.box.name) + aside + 6 * (placed.box.count > 1))


def _arcs(
    connections: Iterable[BoxConnection], boxes: Sequence[PlacedBox], right: float, *, labelled: bool
) -> list[Arc]:
    """Place arcs, short ones nearest to the boxes, without crossings, and labels without overlaps."""
    placed: list[tuple[BoxConnection, int]] = []
    for connection in sorted(connections, key=lambda one: (one.second - one.first, one.first)):
        taken = {
            level for other, level in placed if other.first <= connection.second and connection.first <= other.second
        }
        placed.append((connection, max(taken, default=-1) + 1))
    ends: dict[int, list[tuple[bool, int, int]]] = {}
    for number, (connection, level) in enumerate(placed):  # at a box: arcs that go up above those that go down
        ends.setdefault(connection.first, []).append((True, -level, number))
        ends.setdefault(connection.second, []).append((False, level, number))
    at = {
        (row, number, down): boxes[row].y + _BOX * ((place + 1) / (len(several) + 1) - 0.5)
        for row, several in ends.items()
        for place, (down, _, number) in enumerate(sorted(several))
    }
    arcs: list[Arc] = []
    label_y = float("-inf")
    for number, (connection, level) in sorted(enumerate(placed), key=lambda item: item[1][0].first + item[1][0].second):
        one, other = at[connection.first, number, True], at[connection.second, number, False]
        network = f" on {connection.network}" * bool(connection.network)
        labels = tuple(f"{label}{network}" for label in connection.labels("↓", "↑")) if labelled else ()
        label_y = max(label_y, (one + other) / 2 - _TITLE / 2 * (len(labels) - 1))
        arcs.append(
            Arc(
                top=min(one, other),
                bottom=max(one, other),
                x=right + 18 + _ARC * level,
                labels=labels,
                label_y=label_y,
                to_top=connection.back is not None,
                to_bottom=connection.there is not None,
                wire=connection.wire,
            )
        )
        label_y += _TITLE * len(labels)
    return arcs
