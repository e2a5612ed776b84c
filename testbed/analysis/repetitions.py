"""Repetitions: runs of one plan, one after the other, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.analysis import formatting
from testbed.analysis.comparison import compared
from testbed.analysis.measures import CONFIDENCE, Measure
from testbed.errors import UsageError
from testbed.html_tables import html_table
from testbed.metrics import metric_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.runs.run import Run
    from testbed.statistics import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetitions:
    """Runs of one plan, see `Lab.repeat`.

    All have the plan's seed, so what varies is what no seed decides: the timing of programs and of the kernel. Runs of
    a sweep have a seed each.

    Attributes:
        runs: in the order in which they were made.
    """

    runs: tuple[Run, ...]

    @property
    def as_expected(self) -> bool:
        """Whether all runs were, see `Run.as_expected`."""
        return all(run.as_expected for run in self.runs)

    @property
    def estimates(self) -> dict[Measure, Estimate]:
        """The mean of each numeric metric that a run has, and from three runs on its 95 % interval.

        Of workloads that the members of a group of nodes run, it is the mean of their aggregates.
        """
        measures = dict.fromkeys(
            Measure(workload=summary.workload, metric=metric_of(name))
            for run in self.runs
            for summary in compared(run)
            for name, value in summary.values.items()
            if not isinstance(value, str) and metric_of(name).unit != "name"
        )
        found = ((measure, measure.estimate(self.runs)) for measure in measures)
        return {measure: estimate for measure, estimate in found if estimate is not None}

    def __getitem__(self, label: str) -> Estimate:
        """Return the estimate of a metric: `repetitions["download.goodput"].interval`.

        Raises:
            UsageError: `unknown-metric`: no run has it.
        """
        estimates = {measure.label: estimate for measure, estimate in self.estimates.items()}
        if label not in estimates:
            raise UsageError("unknown-metric", f"no run has {label}", f"they have: {', '.join(estimates)}")
        return estimates[label]

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    @property
    def failures(self) -> list[str]:
        """What was not as expected, a line for each expectation or link, with the runs; see `failures`."""
        return failures(dict(enumerate(self.runs, 1)))

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return a row per metric that varies: its label, its mean, its interval, and the least and greatest value."""
        return [
            (
                measure.label,
                measure.text(estimate.mean),
                measure.interval_text(estimate),
                f"{measure.text(min(estimate.values))} to {measure.text(max(estimate.values))}",
            )
            for measure, estimate in self.estimates.items()
            if len({*estimate.values}) > 1
        ]

    def same(self) -> list[str]:
        """Return the metrics that are the same in all runs: `voice.sent 500`."""
        return [
            f"{measure.label} {measure.text(estimate.mean)}"
            for measure, estimate in self.estimates.items()
            if len({*estimate.values}) == 1
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the runs and the estimates as a JSON object; values are in the units of `testbed metrics`."""
        return {
            "as_expected": self.as_expected,
            "confidence": CONFIDENCE,
            "estimates": {
                measure.label: {
                    "unit": measure.metric.unit,
                    "mean": estimate.mean,
                    "interval": estimate.interval,
                    "values": estimate.values,
                }
                for measure, estimate in self.estimates.items()
            },
            "runs": [run.to_json() | {"path": str(run.path)} for run in self.runs],
        }

    def __repr__(self) -> str:
        return f"<{len(self.runs)} runs, {'as expected' if self.as_expected else 'not as expected'}>"

    def _repr_html_(self) -> str:
        """The estimates, for a notebook."""
        head = ("metric", "mean", f"{100 * CONFIDENCE:.0f} % interval", "least to greatest")
        return html_table(repr(self).strip("<>"), head, self.rows())


def failures(runs: Mapping[int, Run]) -> list[str]:
    """Return a line for each expectation that is not met in a run, or link that is not as requested in one.

    `voice.loss < 4% is not met in 2 of 5 runs: repetition 1 (5.2 %), repetition 4 (4.4 %)`

    Args:
        runs: by the number of the repetition.
    """
    by_reason: dict[str, list[str]] = {}
    for number, run in runs.items():
        for reason, found in formatting.failures(run).items():
            by_reason.setdefault(reason, []).append(f"repetition {number} ({found})")
    return [f"{reason} in {len(where)} of {len(runs)} runs: {', '.join(where)}" for reason, where in by_reason.items()]
