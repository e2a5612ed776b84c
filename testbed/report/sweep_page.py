"""sweep.html: the outcome of a sweep: a figure per metric, the means of all cells, and the runs behind them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from testbed import drawing, logs
from testbed.report.axes import Axis
from testbed.report.cells import Cells, PageVerdict, TableCell, Tile
from testbed.report.charts import Figure, Panel, figure, multiples
from testbed.report.display_units import Unit, display_unit
from testbed.report.marks import Crosses, Mark, Ranges
from testbed.report.page import render
from testbed.runs.output_files import write_whole
from testbed.sweep import rows
from testbed.sweep.layout import ChartLayout
from testbed.sweep.scale import is_wide

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from testbed.analysis.measures import Measure
    from testbed.sweep.layout import Curve
    from testbed.sweep.outcome import SweepOutcome

_log = logging.getLogger(__name__)

SWEEP_FILE = "sweep.html"

_HEIGHT = 230
_SMALL_HEIGHT = 110
_ROOM = 1.25
"""Beyond the least and the greatest value, on logarithmic axes."""

_MARGIN = 0.06
_NOTE = "The mean over the runs of a cell, with its 95 % interval."


def write_sweep(outcome: SweepOutcome) -> Path:
    """Write sweep.html into the sweep's directory, over the one that is there.

    Returns:
        Its path.

    Raises:
        UsageError: `not-written`.
    """
    path = outcome.directory / SWEEP_FILE
    with logs.timed(_log, f"write {path}"):
        write_whole(path, sweep_page(outcome))
    return path


def sweep_page(outcome: SweepOutcome) -> str:
    """Return the page of a sweep, as HTML."""
    matrix = outcome.matrix
    shown = [*figures(outcome)]
    sections = [
        *([{"id": "figures", "title": "Figures"}] if shown else []),
        {"id": "cells", "title": "Cells"},
        {"id": "run", "title": "What was run"},
    ]
    return render(
        "sweep.html.j2",
        title=f"{matrix.name}, a sweep",
        name=matrix.name,
        description=matrix.plan.description,
        judged=_verdict(outcome),
        figures=shown,
        slopes=[rows.slope_text(outcome, slope) for slope in outcome.slopes],
        head=rows.head(outcome),
        lines=rows.lines(outcome),
        count=len(rows.head(outcome)) - len(matrix.factors),
        drawing=drawing.figure(matrix.plan),
        facts=_facts(outcome),
        runs=_runs(outcome),
        sections=sections,
        folder=outcome.directory.name,
    )


def _verdict(outcome: SweepOutcome) -> PageVerdict:
    reasons = rows.warnings(outcome)
    failed = sum(not run.as_expected for run in outcome.runs.values())
    if failed:
        reasons.append(
            f"in {failed} of {len(outcome.runs)} runs a link is not as requested or an expectation is not met"
        )
    untrusted = len(outcome.untrusted)
    runs = len(outcome.runs) + len(outcome.missing)
    tiles = (
        Tile(name="Cells", value=str(len(outcome.matrix.cells))),
        Tile(name="Runs", value=f"{len(outcome.runs)} of {runs}", good=not outcome.missing),
        Tile(
            name="Runs trusted",
            value=f"{len(outcome.runs) - untrusted} of {len(outcome.runs)}",
            good=not untrusted,
        ),
        Tile(name="As expected", value=f"{len(outcome.runs) - failed} of {len(outcome.runs)}", good=not failed),
    )
    title = f"{len(outcome.matrix.cells)} cells, {len(outcome.runs)} runs"
    title += "" if reasons else ", all of them trusted"
    return PageVerdict(good=not reasons, title=title, reasons=tuple(reasons), tiles=tiles)


def _facts(outcome: SweepOutcome) -> dict[str, str]:
    matrix = outcome.matrix
    facts = {path: ", ".join(levels) for path, levels in matrix.factors.items()}
    return facts | {"repetitions": str(outcome.repeat), "seed": str(matrix.seed), "digest (SHA-256)": matrix.digest}


def _runs(outcome: SweepOutcome) -> list[Cells]:
    return [
        [
            rows.levels_text(outcome.matrix, cell.levels),
            str(trial.repetition),
            str(trial.seed),
            TableCell(text=f"{cell.lab}/{run.path.name}", code=True),
            "yes" if run.trusted else "; ".join(run.why_not_trusted),
        ]
        for cell in outcome.matrix.cells
        for trial, run in outcome.trials(cell)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _CellPlace:
    """The place of a cell on the x axis."""

    layout: ChartLayout
    order: Sequence[str]

    @property
    def axis(self) -> Axis:
        """Return an axis with a label at each value that was tried, as the file or option has it."""
        scale = self.layout.scale
        places: Mapping[str, float] = scale.values if scale else {level: at for at, level in enumerate(self.order)}
        low, high = min(places.values()), max(places.values())
        labels = [(value, level) for level, value in places.items()]
        if self.layout.is_logarithmic:
            room = (high / low) ** _MARGIN
            return Axis(low=low / room, high=high * room, scale="log", labels=labels)
        room = (high - low) * _MARGIN or 1
        return Axis(low=low - room, high=high + room, labels=labels)


def figures(outcome: SweepOutcome) -> Iterator[Figure]:
    """Yield a figure for each measure that any run has."""
    layout = ChartLayout.of(outcome.matrix)
    x = _CellPlace(layout=layout, order=outcome.matrix.factors[layout.x]).axis
    x_label = f"{layout.x}{', logarithmic' if layout.is_logarithmic else ''}"
    groups = _groups(outcome, layout)
    for measure in outcome.measures:
        marks = {name: _marks(outcome, layout, measure, curves) for name, curves in groups.items()}
        drawn = [mark for several in marks.values() for mark in several]
        if not drawn:
            continue
        y, y_label = _y_axis(measure, drawn)
        marks = {name: [_within(mark, y) for mark in several] for name, several in marks.items()}
        title = f"{measure.label} by {layout.x}"
        if len(groups) == 1:
            [alone] = marks.values()
            panel = Panel(label=y_label, y=y, marks=alone, height=_HEIGHT)
            yield figure(title, x, x_label, [panel], note=_NOTE)
        else:
            panels = [Panel(label=name, y=y, marks=several, height=_SMALL_HEIGHT) for name, several in marks.items()]
            yield multiples(
                title, x, x_label, panels, note=f"Of each panel the y axis is {y_label}. {_NOTE}", group=title
            )


def _groups(outcome: SweepOutcome, layout: ChartLayout) -> dict[str, list[Curve]]:
    """Return the curves of each panel, by its name."""
    groups: dict[str, list[Curve]] = {}
    for curve in layout.curves(outcome.matrix):
        own = {path: curve.levels[path] for path in layout.of_panels}
        groups.setdefault(rows.levels_text(outcome.matrix, own), []).append(curve)
    return groups


def _marks(outcome: SweepOutcome, layout: ChartLayout, measure: Measure, curves: Sequence[Curve]) -> list[Mark]:
    """Return the curves of a panel, and crosses at runs that are not trusted."""
    order = outcome.matrix.factors[layout.x]
    marks: list[Mark] = []
    untrusted: list[tuple[float, float]] = []
    for style, curve in enumerate(curves):
        points = []
        for cell in curve.cells:
            at, estimate = layout.at(cell, order), outcome.estimate(cell, measure)
            if estimate is not None:
                low, high = estimate.interval or (estimate.mean, estimate.mean)
                points.append((at, low, estimate.mean, high))
            values = [measure.of(run) for _, run in outcome.trials(cell) if not run.trusted]
            untrusted += [(at, value) for value in values if value is not None]
        if points:
            name = curve.levels[layout.of_curves] if layout.of_curves else ""
            marks.append(Ranges(name=name, style=style, ranges=points, joined=True))
    if untrusted:
        marks.append(Crosses(name="a run that is not trusted", points=untrusted))
    return marks


def _within(mark: Mark, y: Axis) -> Mark:
    """Return a mark with its intervals cut at the axis: a logarithmic one has no zero."""
    if not isinstance(mark, Ranges) or y.low is None:
        return mark
    return replace(mark, ranges=[(at, max(low, y.low), mean, high) for at, low, mean, high in mark.ranges])


def _y_axis(measure: Measure, marks: Sequence[Mark]) -> tuple[Axis, str]:
    """Return an axis for all that is drawn, and its label."""
    ranges = [point for mark in marks if isinstance(mark, Ranges) for point in mark.ranges]
    singles = [y for mark in marks if isinstance(mark, Crosses) for _, y in mark.points]
    means = [mean for _, _, mean, _ in ranges]
    ends = [bound for _, low, _, high in ranges for bound in (low, high)]
    unit: Unit = display_unit(measure.metric.unit, max([*ends, *singles]))
    label = f"{measure.label}, {unit.name or measure.metric.unit}"
    if is_wide([*means, *singles]):
        least = min(bound for bound in [*ends, *means, *singles] if bound > 0)
        low = max(least, min(means) / 10) / _ROOM
        return Axis(low=low, high=max([*ends, *singles]) * _ROOM, scale="log", unit=unit), f"{label}, logarithmic"
    return Axis(unit=unit, low=min([0.0, *ends, *singles]), high=max([*ends, *singles]) * 1.05 or 1), label
