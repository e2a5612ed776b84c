"""The page of a comparison: what is compared, the change of each figure with its interval, and overlaid plots."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.plan.differences import plan_differences
from testbed.results import comparison, rows
from testbed.results.comparison import NO_CONCLUSION, THE_SAME
from testbed.results.files import told
from testbed.results.report.blocks import Cell, page_of, table
from testbed.results.report.marks import STYLES
from testbed.results.report.markup import Element, drawing, element, path
from testbed.results.report.overlays import Overlaid, overlays
from testbed.results.report.samples import read_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.results.comparison import Change, Side

_FIGURES = 5
_WIDTH, _HEIGHT = 130, 18
_WIDEST = 1.0
_LEAST_SCALE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A side compared with the first one.

    Attributes:
        other: the side.
        changes: from the first one to it.
    """

    other: Side
    changes: Sequence[Change]


def write(path: Path, first: Side, compared: Sequence[Comparison], violations: Sequence[str] = ()) -> None:
    """Write the page of a comparison to a file.

    Args:
        path: of the file; what is there is replaced.
        first: the side that all others are compared with.
        compared: the others.
        violations: changes that were not to be, in words.
    """
    sides = [first, *(each.other for each in compared)]
    names = _names(sides)
    title = f"{', '.join(names[1:])} compared with {names[0]}"
    body = [element("h1", title), _verdict(compared, violations), *_sides(sides, names)]
    for name, each in zip(names[1:], compared, strict=True):
        body += _changes(first, each, names[0], name)
    body += _plots(sides, names)
    body.append(
        element("footer", "Figures are means over runs. A change's interval is of 99 %, by Welch's t over runs.")
    )
    with told(path):
        path.write_text(page_of(title, body), encoding="utf-8")


def _names(sides: Sequence[Side]) -> list[str]:
    """Short names: the last part of each path, with a number where that is not enough."""
    short = [Path(side.label).name or side.label for side in sides]
    return [f"{name} ({number})" if short.count(name) > 1 else name for number, name in enumerate(short, 1)]


def _verdict(compared: Sequence[Comparison], violations: Sequence[str]) -> Element:
    changes = [change for each in compared for change in each.changes]
    beyond = [change for change in changes if change.verdict in ("higher", "lower")]
    perhaps = sum(change.verdict == NO_CONCLUSION for change in changes)
    if violations:
        title = "✗ What was not to change did"
    elif beyond:
        title = f"{len(beyond)} of {len(changes)} figures differ by more than chance"
    elif perhaps:
        title = f"What differs may be chance: {comparison.ENOUGH} runs of each side or more would tell"
    else:
        title = "No difference to be seen"
    said = [*violations, *(f"{change.label}: {rows.change_cells(change)[2]}, {change.verdict}" for change in beyond)]
    return element(
        "section",
        element("strong", title),
        element("ul", *(element("li", each) for each in said)) if said else None,
        class_=f"verdict {'bad' if violations else 'plain'}",
    )


def _sides(sides: Sequence[Side], names: Sequence[str]) -> Iterator[Element]:
    yield element("h2", "What is compared")
    lines: list[list[Cell]] = []
    for number, (side, name) in enumerate(zip(sides, names, strict=True)):
        sample = drawing(30, 12, "its lines", path([(1, 6), (29, 6)], f"line s{number % STYLES}"), class_="inline")
        runs = ", ".join(run.path.name for run in side.runs)
        lines.append([element("td", sample, name, class_="name"), side.label, str(len(side.runs)), runs])
    yield table(["side", "named as", "runs", "which"], lines)


def _changes(first: Side, compared: Comparison, before: str, after: str) -> Iterator[Element]:
    yield element("h2", after, element("small", f"compared with {before}"))
    for warning in comparison.warnings(first, compared.other):
        yield element("p", element("b", "Warning: "), warning)
    differences = plan_differences(first.runs[0].plan, compared.other.runs[0].plan)
    seeds = [where for where, _, _ in differences if where.endswith("seed")]
    if differences:
        yield element("h3", "Their plans differ")
        yield table(["where", before, after], [one for one in differences if one[0] not in seeds])
        if seeds:
            yield element("p", f"Seeds differ: {', '.join(seeds)}.", class_="soft")
        yield element("h3", "Figures")
    shown = [change for change in compared.changes if change.verdict != THE_SAME]
    if shown:
        scale = _scale(shown)
        lines: list[list[Cell]] = [
            [
                change.label,
                *(element("td", cell, class_="figure") for cell in rows.change_cells(change)),
                element("td", _whisker(change, scale), class_="figure"),
                element("td", change.verdict, class_=f"figure{' strong' * (change.verdict in ('higher', 'lower'))}"),
            ]
            for change in shown
        ]
        axis = f"±{100 * scale:.3g} %"
        yield table(["figure", "before", "after", "change", axis, "verdict"], lines, figures=_FIGURES)
    same = [change.label for change in compared.changes if change.verdict == THE_SAME]
    if same:
        yield element("p", f"The same in all runs: {', '.join(same)}.", class_="soft")


def _scale(changes: Sequence[Change]) -> float:
    """How far the axis of relative changes goes either way."""
    found = [abs(change.ratio) for change in changes if change.ratio is not None and isfinite(change.ratio)]
    return min(_WIDEST, max([_LEAST_SCALE, *found]) * 1.2)


def _whisker(change: Change, scale: float) -> Element | None:
    """The change as a dot and its interval as a line, left or right of none; cut off at the ends of the axis."""
    if change.ratio is None:
        return None

    def across(ratio: float) -> float:
        return _WIDTH / 2 + (_WIDTH / 2 - 4) * min(1, max(-1, ratio / scale))

    middle = _HEIGHT / 2
    parts = [path([(4, middle), (_WIDTH - 4, middle)], "grid"), path([(_WIDTH / 2, 0), (_WIDTH / 2, _HEIGHT)], "axis")]
    if change.interval is not None and change.before:
        low, high = (across(bound / abs(change.before)) for bound in change.interval)
        parts.append(path([(low, middle), (high, middle)], "line s0"))
    clear = change.verdict in ("higher", "lower")
    parts.append(element("circle", cx=across(change.ratio), cy=middle, r=3.5, class_="dots s0" if clear else "open s0"))
    return drawing(_WIDTH, _HEIGHT, change.label, *parts)


def _plots(sides: Sequence[Side], names: Sequence[str]) -> Iterator[Element]:
    recorded = [[read_all(run).samples for run in side.runs] for side in sides]
    for workload in dict.fromkeys(each.name for side in sides for each in side.runs[0].plan.workloads):
        overlaid = [
            Overlaid(label=name, style=number, runs=tuple(run[workload] for run in runs if workload in run))
            for number, (name, runs) in enumerate(zip(names, recorded, strict=True))
        ]
        figures = [*overlays(workload, overlaid)]
        if figures:
            yield element("h2", workload)
            yield from figures
