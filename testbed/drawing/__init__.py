"""A plan as a picture: SVG, Mermaid, DOT, text for a terminal; and as JSON for scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.drawing import dot, mermaid, objects, svg, text
from testbed.drawing.collapsing import MOST
from testbed.drawing.picture import picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.drawing.picture import Picture
    from testbed.plan.model import Plan

_PICTURES: dict[str, Callable[[Picture], str]] = {
    "text": text.render,
    "svg": svg.render,
    "mermaid": mermaid.render,
    "dot": dot.render,
}
"""The functions that draw a picture, by the name of the format."""

FORMATS = (*_PICTURES, "json")
"""The formats of a drawing; `json` is for scripts, and has each node by itself."""

__all__ = ["FORMATS", "Drawing", "draw", "figure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A drawing for a page.

    Attributes:
        svg: markup.
        folded: whether it is so long that the page hides it until the reader opens it.
    """

    title: str
    svg: str
    folded: bool


def draw(plan: Plan, form: str) -> str:
    """Return the drawing of a plan, with a newline at its end.

    Args:
        plan: what to draw: its nodes and networks, and the impairments that links have when a run begins.
        form: one of `FORMATS`.
    """
    return objects.render(plan) if form == "json" else _PICTURES[form](picture(plan))


def figure(plan: Plan) -> Drawing:
    """Return the drawing of a plan for an HTML page."""
    drawn = picture(plan)
    return Drawing(title=drawn.title, svg=svg.embedded(drawn), folded=len(drawn.boxes) > MOST)
