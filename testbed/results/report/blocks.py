"""What pages are made of beside drawings: tables, and the page itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.results.report.markup import Element, document, element
from testbed.results.report.style import SHEET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Cell = str | Element


def page_of(title: str, body: list[Element]) -> str:
    """A page that needs nothing else, as HTML."""
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", SHEET),
    ]
    return document(head, body)


def table(head: Sequence[str], lines: Iterable[Sequence[Cell]], *, figures: int = 0) -> Element:
    """A table; the last so many columns are figures. Cells that are elements are whole cells (`td`)."""
    words = len(head) - figures
    return element(
        "div",
        element(
            "table",
            element(
                "tr", *(element("th", name, class_="figure" if i >= words else None) for i, name in enumerate(head))
            ),
            *(
                element("tr", *(element("td", cell) if isinstance(cell, str) else cell for cell in line))
                for line in lines
            ),
        ),
        class_="scroll short" if figures else "scroll",
    )


def pairs(facts: Mapping[str, object]) -> Element:
    """A table of names and what they are."""
    return element(
        "table",
        *(
            element("tr", element("th", name), element("td", element("code", str(value))))
            for name, value in facts.items()
        ),
    )


def folded(title: str, *content: Element) -> Element:
    """What is shown when it is asked for, and on paper."""
    return element("details", element("summary", title), *content)
