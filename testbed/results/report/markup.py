"""HTML and SVG as trees of elements, so that whatever is put into them is escaped."""

from __future__ import annotations

from xml.etree import ElementTree as ET

Element = ET.Element
Child = Element | str


def element(tag: str, *children: Child | None, **attributes: str | float | None) -> Element:
    """An element of HTML or SVG.

    Args:
        tag: its name.
        children: elements and text, in order; None is left out.
        attributes: by name, `_` for `-` in it and at the end of a word that Python keeps (`class_`); None is left out.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), value if isinstance(value, str) else number(value))
    last: Element | None = None
    for child in children:
        if isinstance(child, str):
            if last is None:
                made.text = (made.text or "") + child
            else:
                last.tail = (last.tail or "") + child
        elif child is not None:
            made.append(child)
            last = child
    return made


def number(value: float) -> str:
    """A coordinate: to a tenth of a pixel, which is finer than anyone sees."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def drawing(width: float, height: float, title: str, *children: Child | None, class_: str = "") -> Element:
    """An SVG drawing that scales with the page."""
    box = f"0 0 {number(width)} {number(height)}"
    return element("svg", *children, viewBox=box, width=width, role="img", aria_label=title, class_=class_ or None)


def text(x: float, y: float, content: str, class_: str | None = None) -> Element:
    """A line of text in a drawing."""
    return element("text", content, x=x, y=y, class_=class_)


def path(points: list[tuple[float, float]], class_: str) -> Element:
    """An open line through points."""
    steps = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return element("polyline", points=steps, class_=class_)


def width_of(content: str, size: float = 12) -> float:
    """About how wide a text is, in pixels: nothing here can measure it, so rather too much."""
    return len(content) * size * 0.56


def document(head: list[Element], body: list[Element]) -> str:
    """A whole page."""
    page = element("html", element("head", *head), element("body", *body), lang="en")
    return f"<!DOCTYPE html>\n{ET.tostring(page, encoding='unicode', method='html')}\n"
