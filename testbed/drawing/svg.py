"""SVG that needs nothing else, for light and dark: alone in a file, or as a part of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from testbed.drawing.layout import layout

if TYPE_CHECKING:
    from testbed.drawing.layout import Arc, Layout, PlacedBox
    from testbed.drawing.picture import Picture

_COLOURS = """
.topology { --paper: #ffffff; --ink: #1c2128; --soft: #57606a; --line: #d4d9df; --card: #f6f8fa; --s0: #1f66b5; }
@media (prefers-color-scheme: dark) { .topology { --paper: #0f1318; --ink: #e2e7ed; --soft: #98a2ae; --line: #343c46;
  --card: #171c23; --s0: #6cb0ff; } }
.topology { background: var(--paper); }
"""
"""Those of the report's pages, for a drawing that is in none."""

_STYLE = """
.topology text { fill: var(--ink); white-space: pre;
  font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.topology .small, .topology .aside { fill: var(--soft); font-size: 12px; } .topology .name { font-weight: 600; }
.topology .box { fill: var(--card); stroke: var(--ink); stroke-width: 1.2; }
.topology .router { stroke-width: 2.6; }
.topology .bus { fill: none; stroke: var(--soft); stroke-width: 4; stroke-linecap: round; }
.topology .attachment { stroke: var(--soft); stroke-width: 1.4; } .topology .knot { fill: var(--soft); }
.topology .link { fill: none; stroke: var(--s0); stroke-width: 1.6; } .topology .tip { fill: var(--s0); }
.topology .wire { fill: none; stroke: var(--ink); stroke-width: 3; }
.topology .wire.thin { stroke: var(--paper); stroke-width: 1; }
.topology .leader { stroke: var(--line); }
"""


def render(picture: Picture) -> str:
    """Return the drawing as the text of a file."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_drawn(picture, _COLOURS + _STYLE)}\n'


def embedded(picture: Picture) -> str:
    """Return the drawing as a part of an HTML page that defines the variables of its colours."""
    return _drawn(picture, _STYLE)


def _drawn(picture: Picture, style: str) -> str:
    placed = layout(picture)
    width, height = round(placed.width), round(placed.height + 18 * bool(placed.left_out))
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "topology",
            "viewBox": f"0 0 {width} {height}",
            "width": str(width),
            "height": str(height),
            "role": "img",
            "aria-label": picture.title,
        },
    )
    ET.SubElement(root, "title").text = picture.title
    ET.SubElement(root, "style").text = style
    _networks(root, placed)
    for box in placed.boxes:
        _box(root, placed, box)
    for arc in placed.arcs:
        _arc(root, placed, arc)
    for cell in placed.cells:
        _text(root, cell.x, cell.y, cell.text, "small" if cell.heading else "label")
    if placed.left_out:
        text = f"{placed.left_out} connections have impairments, too many to be drawn"
        _text(root, 8, placed.height + 6, text, "small")
    return ET.tostring(root, encoding="unicode")


def _networks(root: ET.Element, placed: Layout) -> None:
    for network in placed.networks:
        _path(root, f"M{_at(network.x)} {_at(network.y + 4)}V{_at(network.bottom)}", "bus")
        _text(root, network.x + 9, network.y + 1, network.label, "small")


def _box(root: ET.Element, placed: Layout, box: PlacedBox) -> None:
    for index, number in enumerate(box.networks, 1):
        x, y = placed.networks[number].x, box.y + (index - (len(box.networks) + 1) / 2) * 7
        _path(root, f"M{_at(x)} {_at(y)}H{_at(placed.left)}", "attachment")
        ET.SubElement(root, "circle", {"class": "knot", "cx": _at(x), "cy": _at(y), "r": "3.5"})
    width = placed.right - placed.left
    style = "box router" if box.box.router else "box"
    several = box.box.count > 1
    for shift in (6, 3, 0) if several else (0,):
        ET.SubElement(
            root,
            "rect",
            {
                "class": style,
                "x": _at(placed.left + shift),
                "y": _at(box.y - 14 - shift),
                "width": _at(width - 6 * several),
                "height": "28",
                "rx": "14" if box.box.router else "5",
            },
        )
    name = _text(root, placed.left + 12, box.y + 4.5, box.box.name, "name")
    if box.aside:
        ET.SubElement(name, "tspan", {"class": "aside", "dx": "10", "font-weight": "normal"}).text = box.aside


def _arc(root: ET.Element, placed: Layout, arc: Arc) -> None:
    x, right = arc.x, placed.right + 1
    turn = min(6.0, (arc.bottom - arc.top) / 2)
    path = (
        f"M{_at(right)} {_at(arc.top)}H{_at(x - turn)}q{_at(turn)} 0 {_at(turn)} {_at(turn)}V{_at(arc.bottom - turn)}"
    )
    path += f"q0 {_at(turn)} {_at(-turn)} {_at(turn)}H{_at(right)}"
    for style in ("wire", "wire thin") if arc.wire else ("link",):
        _path(root, path, style)
    for y, has_tip in ((arc.top, arc.to_top), (arc.bottom, arc.to_bottom)):
        if has_tip:
            _path(root, f"M{_at(right)} {_at(y)}l8 -4v8z", "tip")
    if arc.labels:
        middle = arc.label_y + 8 * (len(arc.labels) - 1)
        from_y = min(max(middle, arc.top + turn), arc.bottom - turn)
        _path(root, f"M{_at(x)} {_at(from_y)}L{_at(placed.label_x - 3)} {_at(middle)}", "leader")
    for number, label in enumerate(arc.labels):
        _text(root, placed.label_x, arc.label_y + 16 * number + 4, label, "label")


def _path(root: ET.Element, path: str, style: str) -> None:
    ET.SubElement(root, "path", {"class": style, "d": path})


def _text(root: ET.Element, x: float, y: float, text: str, style: str) -> ET.Element:
    element = ET.SubElement(root, "text", {"class": style, "x": _at(x), "y": _at(y)})
    element.text = text
    return element


def _at(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
