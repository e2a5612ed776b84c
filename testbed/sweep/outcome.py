"""The outcome of a sweep: its runs, and the estimates of metrics from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from testbed import codec
from testbed.analysis import formatting
from testbed.analysis.comparison import MACHINERY
from testbed.analysis.measures import CONFIDENCE
from testbed.runs.output_files import write_whole
from testbed.runs.reading import load, whole_runs
from testbed.statistics import LINEAR, Estimate, log_slope
from testbed.sweep.layout import ChartLayout, Curve
from testbed.sweep.record import CellRecord, EstimateRecord, RunRecord, SlopeRecord, SweepRecord
from testbed.sweep.scale import is_wide

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.analysis.measures import Measure
    from testbed.runs import Run
    from testbed.sweep.matrix import Cell, Matrix, Trial

SWEEP_FILE = "sweep.json"

_AT_LEAST = 3
"""The least number of points for a slope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """The exponent of the power law by which a metric grows along a curve.

    Attributes:
        x: the path of the key that varies along the curve.
        exponent: estimated over repetitions, each fitted by itself.
    """

    measure: Measure
    x: str
    curve: Curve
    exponent: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOutcome:
    """The runs of a sweep.

    Attributes:
        directory: of the sweep.
        repeat: number of repetitions of each cell.
        runs: the complete runs, by `Trial.key`; the sweep adds each that it makes.
        measures: the metrics to show.
    """

    matrix: Matrix
    directory: Path
    repeat: int
    runs: dict[tuple[str, int], Run]
    measures: tuple[Measure, ...]

    def trials(self, cell: Cell) -> list[tuple[Trial, Run]]:
        """Return the runs of a cell that exist, by repetition."""
        mine = (self.matrix.trial(cell, repetition) for repetition in range(1, self.repeat + 1))
        return [(trial, self.runs[trial.key]) for trial in mine if trial.key in self.runs]

    def estimate(self, cell: Cell, measure: Measure) -> Estimate | None:
        """Return the estimate of a metric over the runs of a cell; None if no run has it."""
        return measure.estimate(run for _, run in self.trials(cell))

    @property
    def total(self) -> int:
        """How many runs a complete sweep has."""
        return len(self.matrix.cells) * self.repeat

    @property
    def missing(self) -> list[Trial]:
        """The trials without a complete run."""
        return [trial for trial in self.matrix.trials(self.repeat) if trial.key not in self.runs]

    @property
    def untrusted(self) -> list[Run]:
        """The runs that are not trusted. Estimates include them, because leaving them out could favour a cell."""
        return [run for run in self.runs.values() if not run.trusted]

    @property
    def as_expected(self) -> bool:
        """Whether in all runs the links were as requested and all expectations were met."""
        return all(run.as_expected for run in self.runs.values())

    @property
    def mixture(self) -> list[str]:
        """Sentences about differences between the runs' environments: runtime, engines, versions."""
        sentences = []
        for name, of in MACHINERY.items():
            values = sorted({of(run) for run in self.runs.values()})
            if len(values) > 1:
                sentences.append(f"runs differ in {name}: {' and '.join(values)}")
        return sentences

    @property
    def slopes(self) -> Iterator[Slope]:
        """The slope of each curve whose axes are both logarithmic."""
        layout = ChartLayout.of(self.matrix)
        if not layout.is_logarithmic:
            return
        for measure in self.measures:
            means = [estimate.mean for cell in self.matrix.cells if (estimate := self.estimate(cell, measure))]
            for curve in layout.curves(self.matrix) if is_wide(means) else ():
                exponent = self._exponent(layout, curve, measure)
                if exponent is not None:
                    yield Slope(measure=measure, x=layout.x, curve=curve, exponent=exponent)

    def _exponent(self, layout: ChartLayout, curve: Curve, measure: Measure) -> Estimate | None:
        x = [layout.at(cell, ()) for cell in curve.cells]
        by_repetition: dict[int, list[float]] = {}
        for cell in curve.cells:
            for trial, run in self.trials(cell):
                by_repetition.setdefault(trial.repetition, []).append(measure.of(run) or 0)
        complete = [values for values in by_repetition.values() if len(values) == len(x) and min(values) > 0]
        if len(x) < _AT_LEAST:
            return None
        return Estimate.of([log_slope(x, values) for values in complete], LINEAR, CONFIDENCE)

    @property
    def record(self) -> SweepRecord:
        """The content of sweep.json."""
        matrix = self.matrix
        return SweepRecord(
            name=matrix.name,
            topology=matrix.plan.topology,
            description=matrix.plan.description,
            digest=matrix.digest,
            seed=matrix.seed,
            repeat=self.repeat,
            runtime=matrix.runtime,
            engine=matrix.engine,
            factors={path: tuple(levels) for path, levels in matrix.factors.items()},
            metrics={measure.label: measure.metric.unit for measure in self.measures},
            confidence=CONFIDENCE,
            missing=len(self.missing),
            cells=tuple(self._cell_record(cell) for cell in matrix.cells),
            slopes=tuple(
                SlopeRecord(metric=slope.measure.label, levels=slope.curve.levels, **asdict(slope.exponent))
                for slope in self.slopes
            ),
        )

    def _cell_record(self, cell: Cell) -> CellRecord:
        estimates = {measure.label: self.estimate(cell, measure) for measure in self.measures}
        return CellRecord(
            levels=cell.levels,
            lab=cell.lab,
            runs=tuple(
                RunRecord(
                    repetition=trial.repetition,
                    seed=trial.seed,
                    path=f"{cell.lab}/{run.path.name}",
                    trusted=run.trusted,
                    as_expected=run.as_expected,
                    failures=formatting.failures(run),
                    values={measure.label: measure.of(run) for measure in self.measures},
                )
                for trial, run in self.trials(cell)
            ),
            estimates={
                label: None if estimate is None else EstimateRecord(mean=estimate.mean, interval=estimate.interval)
                for label, estimate in estimates.items()
            },
        )

    def write(self) -> Path:
        """Write sweep.json, replacing the one that exists."""
        path = self.directory / SWEEP_FILE
        write_whole(path, json.dumps(codec.encode(self.record), indent=1) + "\n")
        return path


def kept(matrix: Matrix, directory: Path) -> dict[tuple[str, int], Run]:
    """Return the complete runs in a sweep's directory, by `Trial.key`; of several per key, the last trusted one.

    Raises:
        UsageError: `run-unreadable`.
    """
    kept_runs: dict[tuple[str, int], Run] = {}
    for cell in matrix.cells:
        for run in map(load, whole_runs(directory / cell.lab)):
            key = run.plan.lab, run.plan.seed
            if key not in kept_runs or run.trusted or not kept_runs[key].trusted:
                kept_runs[key] = run
    return kept_runs
