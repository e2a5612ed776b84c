"""How soon the first byte arrives, of all workloads that tell: what setting a connection up costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.results import rows
from testbed.results.report import asked
from testbed.results.report.axes import Linear, time_unit
from testbed.results.report.markup import Element, drawing, element, path, text, width_of
from testbed.results.report.plot import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.plan.model import Plan
    from testbed.workloads import Summary

_LEAST = 2
_ROW = 26
_BAR = 12
_TOP = 40
_GAP = 14
_MOST_ROUND_TRIPS = 8


def start(plan: Plan, summaries: Sequence[Summary]) -> Iterator[Element]:
    """The figure, where there are two workloads or more to compare."""
    firsts = [(each, first) for each in summaries if (first := _time(each, "first_byte_ns")) is not None]
    if len(firsts) < _LEAST:
        return
    most = max(first for _, first in firsts)
    left = 12 + max(width_of(f"{each.workload}  {each.kind}") for each, _ in firsts)
    x = Linear.up_to(most, time_unit(most), most_ticks=8)
    right = WIDTH - 70

    def across(value: float) -> float:
        return left + (right - left) * x.at(value)

    bottom = _TOP + _ROW * len(firsts)
    parts: list[Element] = []
    for value, label in x.ticks():
        parts.append(path([(across(value), _TOP - 4), (across(value), bottom)], "grid"))
        parts.append(text(across(value), bottom + 15, label, "tick middle"))
    round_trip_ns = _round_trip_ns(plan, [each.workload for each, _ in firsts])
    if round_trip_ns:
        for number in range(1, min(int(x.high // round_trip_ns), _MOST_ROUND_TRIPS) + 1):
            at = across(number * round_trip_ns)
            parts.append(path([(at, _TOP - 4), (at, bottom)], "level"))
            parts.append(text(at, _TOP - 8, "1 round trip asked for" if number == 1 else str(number), "small middle"))
    for number, (summary, first) in enumerate(firsts):
        y = _TOP + _ROW * number + 4
        set_up = min(_time(summary, "setup_ns") or 0, first)
        parts.append(
            element("text", summary.workload, element("tspan", f"  {summary.kind}", class_="soft"), x=0, y=y + 11)
        )
        if set_up:
            parts.append(_bar(across(0), across(set_up), y, "setup"))
        parts.append(_bar(across(set_up), across(first), y, "wait"))
        parts.append(text(across(first) + 6, y + 11, rows.duration(first), "small"))
    parts.append(path([(left, bottom), (right, bottom)], "axis"))
    parts.append(text(right, bottom + 31, f"time since it began, {x.unit.name}", "small end"))
    parts += _legend()
    title = "How soon the first byte arrives"
    note = "From the first packet sent to the first payload at the other end."
    drawn = drawing(WIDTH, bottom + 36, title, *parts, class_="plot")
    yield element("figure", element("figcaption", element("b", title), f" {note}"), drawn)


def _time(summary: Summary, name: str) -> float | None:
    value = summary.values.get(name)
    return value if isinstance(value, (int, float)) else None


def _bar(left: float, right: float, y: float, what: str) -> Element:
    return element("rect", x=left, y=y, width=max(0.5, right - left), height=_BAR, class_=what)


def _round_trip_ns(plan: Plan, names: Sequence[str]) -> int:
    """The round trip that the links were asked to make, if it is the same for all these workloads; else 0."""
    found = {asked.round_trip_ns(plan, each)[0][1] for each in plan.workloads if each.name in names}
    return found.pop() if len(found) == 1 else 0


def _legend() -> list[Element]:
    """What the two parts of a bar are."""
    parts, at = [], WIDTH - 14.0
    for what, label in (("wait", "until the first byte arrives"), ("setup", "connection set-up")):
        at -= width_of(label, 11)
        parts.append(text(at, 12, label, "small"))
        parts.append(element("rect", x=at - 20, y=4, width=14, height=8, class_=what))
        at -= 34
    return parts
