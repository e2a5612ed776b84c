"""DOT, the language of Graphviz (https://graphviz.org/doc/info/lang.html)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.drawing.picture import Picture


def render(picture: Picture) -> str:
    """Return the drawing as a graph in DOT: nodes are boxes, routers hexagons, networks ellipses, wires thick edges."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield f"digraph {_quoted(picture.name)} {{"
    yield f"  label={_quoted(picture.description or picture.name)}; labelloc=t; rankdir=LR; nodesep=0.4;"
    yield '  fontname="sans-serif"; node [fontname="sans-serif", shape=box]; edge [fontname="sans-serif", fontsize=10];'
    numbers = {segment.name: number for number, segment in enumerate(picture.segments)}
    for number, segment in enumerate(picture.segments):
        yield f"  s{number} [shape=ellipse, label={_quoted(segment.name, segment.about)}];"
    for number, box in enumerate(picture.boxes):
        role = ("router",) if box.router else ()
        shape = ", shape=hexagon" * box.router + ", peripheries=2" * (box.count > 1)
        yield f"  n{number} [label={_quoted(box.title, *role, *box.notes)}{shape}];"
        for network in box.networks:
            yield f"  s{numbers[network]} -> n{number} [dir=none, color=gray];"
    for connection in picture.connections:
        first, second = (picture.boxes[index].name for index in (connection.first, connection.second))
        labels = connection.labels(f"{first} → {second}:", f"{second} → {first}:")
        place = (f"on {connection.network}",) if connection.network else ()
        arrows = {(True, True): "both", (True, False): "forward", (False, True): "back", (False, False): "none"}
        arrow = arrows[connection.there is not None, connection.back is not None]
        style = "penwidth=3" if connection.wire else "color=blue"
        yield (
            f"  n{connection.first} -> n{connection.second} [dir={arrow}, {style}, label={_quoted(*labels, *place)}];"
        )
    yield "}"


def _quoted(*lines: str) -> str:
    """Return a string of DOT with these lines; a backslash is escaped because labels give it a meaning."""
    return '"' + "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines) + '"'
