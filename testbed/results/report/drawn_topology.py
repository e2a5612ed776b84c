"""A drawing of a plan: nodes in a row, networks as bars above them, links as brackets below them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.results.report.markup import Element, drawing, element, path, text, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.plan.model import Link, Plan

_MOST_LINKS = 30
_NARROWEST = 876
_BOX = 30
_GAP = 40
_BUS = 30
_LEVEL = 30


@dataclass(slots=True, kw_only=True)
class _Bracket:
    """A link, or two that do the same in both directions, from the place of the left node to that of the right one."""

    left: int
    right: int
    label: str
    to_left: bool
    to_right: bool
    level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """Where a node is drawn."""

    x: float
    width: float

    def across(self, number: int, count: int) -> float:
        """The x of one of `count` wires."""
        return self.x + self.width * (number + 1) / (count + 1)


def draw(plan: Plan) -> Element:
    """The topology: who is on which network, and what the links between them do."""
    brackets = _brackets(plan) if len(plan.links) <= _MOST_LINKS else []
    boxes = _boxes(plan, brackets)
    top = 14 + _BUS * len(plan.networks) + 12
    parts = [part for number in range(len(plan.networks)) for part in _network(plan, boxes, number, top)]
    for node, box in zip(plan.nodes, boxes, strict=True):
        parts.append(element("rect", x=box.x, y=top, width=box.width, height=_BOX, rx=5, class_="box"))
        parts.append(text(box.x + box.width / 2, top + 20, node.name, "strong middle"))
    bottom = top + _BOX
    wires: dict[int, list[tuple[int, int, int]]] = {}
    for number, each in enumerate(brackets):  # beside each other at a node: those to the left first, inner ones nearest
        wires.setdefault(each.left, []).append((1, -each.level, number))
        wires.setdefault(each.right, []).append((0, each.level, number))
    for number, each in enumerate(brackets):
        ends = []
        for place, side in ((each.left, 1), (each.right, 0)):
            order = sorted(wires[place])
            own = (side, -each.level if side else each.level, number)
            ends.append(boxes[place].across(order.index(own), len(order)))
        parts += _link(each, ends[0], ends[1], bottom)
    height = bottom + _LEVEL * (1 + max((each.level for each in brackets), default=-1)) + 10
    if len(plan.links) > _MOST_LINKS:
        parts.append(text(boxes[0].x, bottom + 20, f"{len(plan.links)} links: see the table", "small"))
        height += 20
    width = boxes[-1].x + boxes[-1].width + 2
    return element("figure", drawing(width, height, f"Topology of {plan.topology}", *parts, class_="topology"))


def _brackets(plan: Plan) -> list[_Bracket]:
    """The links, short ones at the upper levels, so that none crosses another's line."""
    places = {node.name: number for number, node in enumerate(plan.nodes)}
    several = len(plan.networks) > 1
    found: list[_Bracket] = []
    done: set[tuple[str, str, str]] = set()
    by_ends = {link.ends: link for link in plan.links}
    for link in plan.links:
        if link.ends in done:
            continue
        back = by_ends.get((link.destination, link.source, link.network))
        alike = back is not None and back.shape == link.shape
        done |= {link.ends, back.ends} if alike and back is not None else {link.ends}
        rightwards = places[link.source] < places[link.destination]
        found.append(
            _Bracket(
                left=min(places[link.source], places[link.destination]),
                right=max(places[link.source], places[link.destination]),
                label=_label(link, several=several, each_way=alike),
                to_left=alike or not rightwards,
                to_right=alike or rightwards,
            )
        )
    placed: list[_Bracket] = []
    for each in sorted(found, key=lambda one: one.right - one.left):
        taken = {other.level for other in placed if other.left < each.right and each.left < other.right}
        each.level = 1 + max(taken) if taken else 0
        placed.append(each)
    return found


def _label(link: Link, *, several: bool, each_way: bool) -> str:
    where = f" ({link.network})" if several else ""
    return f"{link.shape.describe()}{where}{', each way' if each_way else ''}"


def _boxes(plan: Plan, brackets: Sequence[_Bracket]) -> list[_Box]:
    """Where the nodes go: far enough from each other for what is written between them."""
    widths = [max(72.0, width_of(node.name, 13) + 26) for node in plan.nodes]
    starts = [1.0]
    for place in range(1, len(widths)):
        x = starts[-1] + widths[place - 1] + _GAP
        for each in brackets:
            if each.right == place:
                x = max(x, starts[each.left] + widths[each.left] / 2 + width_of(each.label) + 30 - widths[place] / 2)
        starts.append(x)
    spare = max(0.0, _NARROWEST - starts[-1] - widths[-1]) / max(1, len(widths) - 1)
    return [_Box(x=x + spare * place, width=width) for place, (x, width) in enumerate(zip(starts, widths, strict=True))]


def _network(plan: Plan, boxes: Sequence[_Box], number: int, top: float) -> list[Element]:
    """A network's bar, with a wire to each of its nodes."""
    network = plan.networks[number]
    y = 20 + _BUS * number
    drops = []
    for node, box in zip(plan.nodes, boxes, strict=True):
        for index, interface in enumerate(node.interfaces):
            if interface.network == network.name:
                drops.append(box.across(index, len(node.interfaces)))
    if not drops:
        return []
    left, right = min(drops) - 12, max(drops) + 12
    parts = [path([(left, y), (right, y)], "bus")]
    parts += [path([(x, y), (x, top)], "wire") for x in drops]
    parts += [element("circle", cx=x, cy=y, r=3.5, class_="knot") for x in drops]
    label = f"{network.name}   {network.subnet}   MTU {network.mtu}"
    return [*parts, text((left + right) / 2, y - 7, label, "small middle")]


def _link(each: _Bracket, left: float, right: float, bottom: float) -> list[Element]:
    y = bottom + _LEVEL * (each.level + 1) - 4
    parts = [path([(left, bottom + 1), (left, y), (right, y), (right, bottom + 1)], "link")]
    for x, tipped in ((left, each.to_left), (right, each.to_right)):
        if tipped:
            parts.append(element("path", d=f"M{x:.1f} {bottom + 1:.1f}l4 8h-8z", class_="tip"))
    return [*parts, text((left + right) / 2, y - 5, each.label, "middle")]
