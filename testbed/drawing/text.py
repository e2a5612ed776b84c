"""Text for a terminal of 80 columns: networks with their nodes as a tree, then wires and links."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.drawing.picture import Box, BoxConnection, Picture

COLUMNS = 80

MOST_LINKS = 100
"""Connections that are drawn."""


def render(picture: Picture) -> str:
    """Return the drawing as lines of at most 80 columns."""
    return "\n".join(line.rstrip() for line in _lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield from _filled(picture.name, f"   {picture.description}" if picture.description else "")
    for segment in picture.segments:
        yield ""
        yield from _filled(segment.name, f"   {segment.about}")
        yield from _tree([box for box in picture.boxes if segment.name in box.networks], segment.name)
    if lonely := [box for box in picture.boxes if not box.networks]:
        yield ""
        yield "on wires only" if any(each.wire for each in picture.connections) else "on no network"
        yield from _tree(lonely, "")
    for title, wire in (("wires", True), ("links", False)):
        connections = [connection for connection in picture.connections if connection.wire == wire]
        if connections:
            yield ""
            yield title
            yield from _connections(picture, connections[:MOST_LINKS])
        if len(connections) > MOST_LINKS:
            yield f"  and {len(connections) - MOST_LINKS} more"


def _tree(boxes: list[Box], network: str) -> Iterator[str]:
    """Yield a line for each box, and further ones where that is too long."""
    width = max((len(box.title) for box in boxes), default=0)
    for number, box in enumerate(boxes, 1):
        last = number == len(boxes)
        addresses = dict(zip(box.networks, box.addresses, strict=True))
        router = ["router"] if box.router else []
        others = [f"also on {', '.join(each for each in box.networks if each != network)}"] * (len(box.networks) > 1)
        facts = [addresses.get(network, ""), *router, *others, *box.notes]
        text = "   ".join(fact for fact in facts if fact)
        yield from _filled(f"{'└─' if last else '├─'} {box.title:{width}}", f"   {text}", " " if last else "│")


def _connections(picture: Picture, connections: Iterable[BoxConnection]) -> Iterator[str]:
    """Yield a line for each direction that differs, arrows below each other."""
    rows: list[tuple[str, str, str, str]] = []
    for connection in connections:
        first, second = (picture.boxes[index].title for index in (connection.first, connection.second))
        network = f"   on {connection.network}" * bool(connection.network)
        line = "═" if connection.wire else "─"
        there, back = (text and connection.with_packets(text) for text in (connection.there, connection.back))
        if there is None and back is None:
            rows.append((first, line * 3, second, network))
        elif there == back:
            among = "among themselves" if connection.first == connection.second else "each way"
            rows.append((first, f"◀{line}▶", second, f"{there}, {among}{network}"))
        else:
            rows += [(first, f"{line * 2}▶", second, f"{there}{network}")] * (there is not None)
            rows += [(second, f"{line * 2}▶", first, f"{back}{network}")] * (back is not None)
    widths = [max(len(row[column]) for row in rows) for column in (0, 2)]
    for first, arrow, second, text in rows:
        yield from _filled(f"  {first:{widths[0]}} {arrow} {second:{widths[1]}}", f"   {text}", " ")


def _filled(head: str, text: str, edge: str = " ") -> Iterator[str]:
    """Yield a line of head and text; if that is too long, the text goes on, or as a whole, in lines below."""
    whole = f"{head}{text}".rstrip()
    if len(whole) <= COLUMNS:
        yield whole
        return
    indent = f"{edge}       "
    room = COLUMNS - len(head) - 3
    if room >= COLUMNS // 2:
        first, *rest = textwrap.wrap(text.strip(), room) or [""]
        yield f"{head}   {first}"
        below = " ".join(rest)
    else:
        yield from textwrap.wrap(head, COLUMNS, subsequent_indent=indent) if len(head) > COLUMNS else [head]
        below = text.strip()
    yield from (f"{indent}{line}" for line in textwrap.wrap(below, COLUMNS - len(indent)))
