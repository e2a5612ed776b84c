"""Mermaid, which many wikis and forges draw (https://mermaid.js.org/syntax/flowchart.html)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.drawing.picture import Box, BoxConnection, Picture


def render(picture: Picture) -> str:
    """Return the drawing as a flowchart: nodes are boxes, routers hexagons, networks stadiums, wires thick edges."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield "flowchart LR"
    numbers = {segment.name: number for number, segment in enumerate(picture.segments)}
    for number, segment in enumerate(picture.segments):
        yield f"    s{number}([{_quoted(segment.name, segment.about)}])"
    for number, box in enumerate(picture.boxes):
        yield f"    n{number}{_shape(box)}"
        for network in box.networks:
            yield f"    s{numbers[network]} --- n{number}"
    for connection in picture.connections:
        first, second = (picture.boxes[index].name for index in (connection.first, connection.second))
        labels = connection.labels(f"{first} → {second}:", f"{second} → {first}:")
        place = (f"on {connection.network}",) if connection.network else ()
        yield _edge(connection, (*labels, *place))


def _shape(box: Box) -> str:
    if box.router:
        return "{{" + _quoted(box.title, "router", *box.notes) + "}}"
    opening, closing = ("[[", "]]") if box.count > 1 else ("[", "]")
    return f"{opening}{_quoted(box.title, *box.notes)}{closing}"


def _edge(connection: BoxConnection, label: tuple[str, ...]) -> str:
    """Return an edge; an arrow leads to where links lead to, so one that only leads back is written the other way."""
    ends = [f"n{connection.first}", f"n{connection.second}"]
    if connection.there is None and connection.back is not None:
        ends.reverse()
    arrows = (connection.there is not None) + (connection.back is not None)
    lines = ("===", "==>", "<==>") if connection.wire else ("-.-", "-.->", "<-.->")
    text = f"|{_quoted(*label)}|" if label else ""
    return f"    {ends[0]} {lines[arrows]}{text} {ends[1]}"


def _quoted(*lines: str) -> str:
    """Return text in quotes; letters that Mermaid, or the HTML that it makes, would read are entities."""
    return '"' + "<br/>".join(re.sub(r'["#&<>`\\]', lambda found: f"#{ord(found[0])};", line) for line in lines) + '"'
