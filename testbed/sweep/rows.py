"""The results of a sweep as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.analysis import repetitions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testbed.sweep.matrix import Cell, Matrix
    from testbed.sweep.outcome import Slope, SweepOutcome


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Return short names of factors: the last part of the path if it is unique, else the path."""
    last = {path: path.rpartition(".")[2] for path in paths}
    names = list(last.values())
    return {path: name if names.count(name) == 1 else path for path, name in last.items()}


def levels_text(matrix: Matrix, levels: Mapping[str, str]) -> str:
    """Return the levels of factors that vary: `loss 1%, congestion bbr`."""
    short = short_names(matrix.factors)
    return ", ".join(f"{short[path]} {level}" for path, level in levels.items() if len(matrix.factors[path]) > 1)


def head(outcome: SweepOutcome) -> tuple[str, ...]:
    """Return the headings of the columns of `lines`, factors first."""
    short = short_names(outcome.matrix.factors)
    return (*short.values(), "runs", *(measure.label for measure in outcome.measures))


def lines(outcome: SweepOutcome) -> list[tuple[str, ...]]:
    """Return a row per cell: its levels, its number of runs, and the mean of each metric with its interval."""
    return [
        (
            *cell.levels.values(),
            _runs(outcome, cell),
            *(measure.estimate_text(outcome.estimate(cell, measure)) for measure in outcome.measures),
        )
        for cell in outcome.matrix.cells
    ]


def _runs(outcome: SweepOutcome, cell: Cell) -> str:
    runs = [run for _, run in outcome.trials(cell)]
    text = f"{len(runs)}" if len(runs) == outcome.repeat else f"{len(runs)} of {outcome.repeat}"
    untrusted = sum(not run.trusted for run in runs)
    return f"{text}, {untrusted} not trusted" if untrusted else text


def slope_text(outcome: SweepOutcome, slope: Slope) -> str:
    """Return a slope as text: `flow.goodput ~ loss ^ -0.51 (-0.55 to -0.47), congestion reno`."""
    x = short_names(outcome.matrix.factors)[slope.x]
    interval = slope.exponent.interval
    bounds = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    beside = levels_text(outcome.matrix, slope.curve.levels)
    return f"{slope.measure.label} ~ {x} ^ {slope.exponent.mean:.2f}{bounds}{f', {beside}' if beside else ''}"


def failures(outcome: SweepOutcome) -> list[str]:
    """Return a line for each unmet expectation or link of a cell, with the runs and the values measured in them.

    `loss 5%: voice.loss < 4% is not met in 2 of 5 runs: repetition 1 (5.2 %), repetition 4 (4.4 %)`
    """
    lines: list[str] = []
    for cell in outcome.matrix.cells:
        label = levels_text(outcome.matrix, cell.levels)
        found = repetitions.failures({trial.repetition: run for trial, run in outcome.trials(cell)})
        lines += [f"{label}: {line}" if label else line for line in found]
    return lines


def missing(outcome: SweepOutcome) -> str:
    """Return the runs that are missing as text: `loss 5% (repetitions 2, 3)`."""
    by_cell: dict[str, list[str]] = {}
    for trial in outcome.missing:
        label = levels_text(outcome.matrix, trial.cell.levels) or "this topology"
        by_cell.setdefault(label, []).append(str(trial.repetition))
    return "; ".join(
        f"{label} (repetition{'s' * (len(numbers) > 1)} {', '.join(numbers)})" for label, numbers in by_cell.items()
    )


def warnings(outcome: SweepOutcome) -> list[str]:
    """Return the reasons to doubt the result, one per line."""
    sentences = []
    if lacking := len(outcome.missing):
        sentences.append(f"{lacking} of {lacking + len(outcome.runs)} runs are missing: {missing(outcome)}")
    if untrusted := outcome.untrusted:
        sentences.append(f"{len(untrusted)} of {len(outcome.runs)} runs are not trusted; the means include them")
    return [*sentences, *outcome.mixture]
