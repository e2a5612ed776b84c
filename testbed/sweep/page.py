"""sweep.html: what came of a sweep, to look at. One file that needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.results.files import write_whole
from testbed.results.report import drawn_topology
from testbed.results.report.blocks import Cell, folded, page_of, pairs, table
from testbed.results.report.markup import Element, element
from testbed.sweep import rows
from testbed.sweep.figures import figures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.sweep.outcome import Outcome

PAGE_FILE = "sweep.html"


def write(outcome: Outcome) -> Path:
    """Write sweep.html into the sweep's directory, over the one that is there."""
    path = outcome.directory / PAGE_FILE
    write_whole(path, page(outcome))
    return path


def page(outcome: Outcome) -> str:
    """The page, as HTML."""
    matrix = outcome.matrix
    count = len(matrix.factors)
    lines: list[list[Cell]] = [
        [*line[:count], *(element("td", cell, class_="figure") for cell in line[count:])]
        for line in rows.lines(outcome)
    ]
    slopes = [rows.slope_text(outcome, slope) for slope in outcome.slopes]
    body: list[Element] = [
        element("h1", f"{matrix.name}: a sweep"),
        *([element("p", matrix.plan.description)] if matrix.plan.description else []),
        _verdict(outcome),
        *figures(outcome),
        *(element("p", line) for line in slopes),
        element("h2", "Cells", element("small", "mean over the runs of a cell, and its 95 % interval")),
        table(rows.head(outcome), lines, figures=len(rows.head(outcome)) - count),
        element("h2", "What was run"),
        drawn_topology.draw(matrix.plan),
        element("p", "The topology with the first value of everything that is varied.", class_="soft"),
        *_facts(outcome),
        element("footer", f"Made by testbed from {outcome.directory.name}."),
    ]
    return page_of(f"{matrix.name}, a sweep", body)


def _verdict(outcome: Outcome) -> Element:
    warnings = rows.warnings(outcome)
    failed = sum(not run.as_expected for run in outcome.runs.values())
    if failed:
        warnings.append(
            f"in {failed} of {len(outcome.runs)} runs a link is not as requested or an expectation is not met"
        )
    count = f"{len(outcome.matrix.cells)} cells, {len(outcome.runs)} runs"
    return element(
        "section",
        element("strong", f"{'✗' if warnings else '✓'} {count}{'' if warnings else ', all of them trusted'}"),
        element("ul", *(element("li", warning) for warning in warnings)) if warnings else None,
        class_=f"verdict {'bad' if warnings else 'good'}",
    )


def _facts(outcome: Outcome) -> Iterator[Element]:
    matrix = outcome.matrix
    facts: dict[str, object] = {path: ", ".join(levels) for path, levels in matrix.factors.items()}
    facts |= {"repetitions": outcome.repeat, "seed": matrix.seed, "digest (SHA-256)": matrix.digest}
    yield folded("Sweep", pairs(facts))
    runs: list[list[Cell]] = [
        [
            rows.levels_text(matrix, cell.levels),
            str(trial.repetition),
            str(trial.seed),
            element("td", element("code", f"{cell.lab}/{run.path.name}")),
            "yes" if run.trusted else "; ".join(run.why_not_trusted),
        ]
        for cell in matrix.cells
        for trial, run in outcome.trials(cell)
    ]
    if runs:
        yield folded("Runs", table(["cell", "repetition", "seed", "run", "trusted"], runs))
