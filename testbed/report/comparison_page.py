"""The page of a comparison: what is compared, the change of each metric with its interval, and overlaid charts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import logs
from testbed.analysis import comparison, formatting
from testbed.analysis.comparison import NO_CONCLUSION, THE_SAME
from testbed.analysis.samples import read_all
from testbed.plan.differences import plan_differences
from testbed.report.cells import Cells, PageVerdict, Tile
from testbed.report.charts import NAMES, Figure, by_name
from testbed.report.marks import Swatch
from testbed.report.overlays import Overlaid, overlays
from testbed.report.page import render
from testbed.runs.output_files import reporting_write_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.analysis.comparison import MetricChange, RunGroup

_log = logging.getLogger(__name__)

_BEYOND_CHANCE = ("higher", "lower")
_TICKS = (-1000, -300, -100, -30, -10, -3, 0, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
_LINEAR = 3
"""Percent: within this the axis of changes is linear, beyond it logarithmic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A side compared with the first one.

    Attributes:
        other: the side.
        changes: from the first one to it.
    """

    other: RunGroup
    changes: Sequence[MetricChange]


def write_comparison(
    path: Path, first: RunGroup, compared: Sequence[Comparison], violations: Sequence[str] = ()
) -> None:
    """Write the page of a comparison to a file.

    Args:
        path: of the file; what is there is replaced.
        first: the side with which all others are compared.
        compared: the others.
        violations: sentences about changes beyond a limit.

    Raises:
        UsageError: `not-written`.
    """
    with logs.timed(_log, f"write {path}"), reporting_write_errors(path):
        path.write_text(comparison_page(first, compared, violations), encoding="utf-8")


def comparison_page(first: RunGroup, compared: Sequence[Comparison], violations: Sequence[str] = ()) -> str:
    """Return the page of a comparison, as HTML; see `write_comparison`."""
    sides = [first, *(comparison.other for comparison in compared)]
    names = _names(sides)
    parts = [
        {"id": f"side-{number}", "title": name, "before": names[0], **_part(first, comparison)}
        for number, (name, comparison) in enumerate(zip(names[1:], compared, strict=True), 1)
    ]
    workloads = [*_workloads(sides, names)]
    sections = [{"id": "sides", "title": "Compared runs"}]
    sections += [{"id": part["id"], "title": part["title"]} for part in (*parts, *workloads)]
    return render(
        "comparison.html.j2",
        title=f"{', '.join(names[1:])} compared with {names[0]}",
        judged=_verdict(compared, violations),
        sides=[_side(side, name, style) for style, (side, name) in enumerate(zip(sides, names, strict=True))],
        parts=parts,
        workloads=workloads,
        sections=sections,
        confidence=f"{100 * comparison.CONFIDENCE:.3g} %",
    )


def _names(sides: Sequence[RunGroup]) -> list[str]:
    """Short names: the last part of each path, with a number where that is not enough."""
    short = [Path(side.label).name or side.label for side in sides]
    return [f"{name} ({number})" if short.count(name) > 1 else name for number, name in enumerate(short, 1)]


def _verdict(compared: Sequence[Comparison], violations: Sequence[str]) -> PageVerdict:
    changes = [change for comparison_ in compared for change in comparison_.changes]
    beyond = [change for change in changes if change.verdict in _BEYOND_CHANCE]
    perhaps = sum(change.verdict == NO_CONCLUSION for change in changes)
    if violations:
        title = "A metric changed beyond its limit"
    elif beyond:
        title = f"{len(beyond)} of {len(changes)} metrics differ by more than chance"
    elif perhaps:
        title = f"Too few runs for a conclusion: {comparison.ENOUGH} or more of each side are needed"
    else:
        title = "No significant difference"
    said = [
        *violations,
        *(f"{change.label}: {formatting.change_cells(change)[2]}, {change.verdict}" for change in beyond),
    ]
    tiles = (
        Tile(name="Differ by more than chance", value=str(len(beyond))),
        Tile(name="Too few runs to tell", value=str(perhaps)),
        Tile(name="The same in all runs", value=str(sum(change.verdict == THE_SAME for change in changes))),
    )
    return PageVerdict(good=False if violations else None, title=title, reasons=tuple(said), tiles=tiles)


def _side(side: RunGroup, name: str, style: int) -> dict[str, Any]:
    runs = ", ".join(run.path.name for run in side.runs)
    return {
        "swatch": Swatch.of_style(name, style),
        "name": name,
        "label": side.label,
        "runs": runs,
        "count": len(side.runs),
    }


def _part(first: RunGroup, compared: Comparison) -> dict[str, Any]:
    """Return the template's data on one side compared with the first."""
    differences = plan_differences(first.runs[0].plan, compared.other.runs[0].plan)
    seeds = [where for where, _, _ in differences if where.endswith("seed")]
    shown = [change for change in compared.changes if change.verdict != THE_SAME]
    return {
        "warnings": comparison.warnings(first, compared.other),
        "differences": [difference for difference in differences if difference[0] not in seeds],
        "seeds": seeds,
        "chart": _forest(shown),
        "changes": [_line(change) for change in shown],
        "same": [change.label for change in compared.changes if change.verdict == THE_SAME],
    }


def _line(change: MetricChange) -> Cells:
    return [change.label, *formatting.change_cells(change), change.verdict]


def _forest(changes: Sequence[MetricChange]) -> Figure | None:
    """Return a chart of relative changes: dots with their intervals, on one axis."""
    values = [value for change in changes if (value := _relative(change)) is not None]
    if not values:
        return None
    ends = [bound for value in values for bound in (value["low"], value["high"], value["change"])]
    low, high = min([*ends, -_LINEAR]), max([*ends, _LINEAR])
    x = {
        "type": "quantitative",
        "scale": {
            "type": "symlog",
            "constant": _LINEAR,
            "domain": [low * 1.1, high * 1.1],
            "nice": False,
            "zero": False,
        },
        "axis": {
            "title": f"change, % (logarithmic beyond ±{_LINEAR} %)",
            "values": [tick for tick in _TICKS if low * 1.1 <= tick <= high * 1.1],
            "format": "+.6~g",
            "orient": "top",
        },
    }
    clear = "datum.clear ? 'var(--s0)' : 'var(--paper)'"
    dot = {
        "type": "point",
        "size": 50,
        "stroke": "var(--s0)",
        "strokeWidth": 1.6,
        "fill": {"expr": clear},
        "opacity": 1,
    }
    interval = {"y": NAMES, "x": {**x, "field": "low"}, "x2": {"field": "high"}}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": [{"none": 0}]},
            "mark": {"type": "rule", "stroke": "var(--soft)"},
            "encoding": {"x": {**x, "field": "none"}},
        },
        {"mark": {"type": "rule", "stroke": "var(--s0)", "strokeWidth": 2}, "encoding": interval},
        {"mark": dot, "encoding": {"y": NAMES, "x": {**x, "field": "change"}, "tooltip": {"field": "said"}}},
    ]
    note = "A filled dot differs by more than chance; a line is the interval of the change."
    return by_name("Relative changes.", values, layers, note=note)


def _relative(change: MetricChange) -> dict[str, Any] | None:
    """Return a change in percent of the earlier value; None if that is zero or unknown."""
    if change.ratio is None or not isfinite(change.ratio) or not change.before:
        return None
    low, high = change.interval or (0.0, 0.0)
    scale = 100 / abs(change.before)
    percent = 100 * change.ratio
    before, after, text = formatting.change_cells(change)
    return {
        "name": change.label,
        "change": percent,
        "low": low * scale if change.interval else percent,
        "high": high * scale if change.interval else percent,
        "clear": change.verdict in _BEYOND_CHANCE,
        "said": f"{change.label}: {before} to {after}, {text}, {change.verdict}",
    }


def _workloads(sides: Sequence[RunGroup], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Of each workload the charts with all sides in them."""
    recorded = [[read_all(run).samples for run in side.runs] for side in sides]
    for workload in dict.fromkeys(planned.name for side in sides for planned in side.runs[0].plan.workloads):
        overlaid = [
            Overlaid(label=name, style=number, runs=tuple(run[workload] for run in runs if workload in run))
            for number, (name, runs) in enumerate(zip(names, recorded, strict=True))
        ]
        figures = [*overlays(workload, overlaid)]
        if figures:
            yield {"id": f"workload-{workload}", "title": workload, "figures": figures}
