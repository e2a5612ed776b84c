"""The choice of metrics that repeated runs show, of sweeps or of one plan, and their estimates as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.analysis import formatting
from testbed.errors import UsageError
from testbed.metrics import METRICS, Metric, aggregate, find, find_aggregate
from testbed.statistics import Estimate, scale_of
from testbed.topology.problems import nearest, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.plan.model import Plan
    from testbed.plan.workloads import Workload
    from testbed.runs import Run

CONFIDENCE = 0.95
"""Confidence of the intervals of estimates."""

_MAIN = ("latency_p50_ns", "goodput_bps")
_BESIDE = "loss_ratio"
_OF_MEMBERS = "median"
_LOSES = "loss_runs"
"""A metric that only kinds have whose messages can be lost for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A metric of a workload; of one that the members of a group run, an aggregate."""

    workload: str
    metric: Metric

    @property
    def label(self) -> str:
        """The metric's name in files and on the command line: `download.goodput`."""
        return f"{self.workload}.{self.metric.label}"

    def of(self, run: Run) -> float | None:
        """Return its value in a run; None if there is none."""
        name = self.metric.name
        summaries = (summary for summary in (*run.summaries, *run.groups) if summary.workload == self.workload)
        return next((summary.number(name) for summary in summaries if name in summary.values), None)

    def estimate(self, runs: Iterable[Run]) -> Estimate | None:
        """Return the estimate from repetitions; None if no run has the metric."""
        known = [value for value in map(self.of, runs) if value is not None]
        return Estimate.of(known, scale_of(self.metric.unit), CONFIDENCE)

    def text(self, value: float | None) -> str:
        """Return a value as text: `5.31 mbit/s`."""
        return formatting.UNMEASURED if value is None else formatting.metric_text(value, self.metric.unit)

    def estimate_text(self, estimate: Estimate | None) -> str:
        """Return a mean and its interval: `5.31 mbit/s (4.92 to 5.7)`."""
        mean = self.text(estimate.mean if estimate else None)
        interval = self.interval_text(estimate)
        return f"{mean} ({interval})" if interval else mean

    def interval_text(self, estimate: Estimate | None) -> str:
        """Return the bounds of an estimate's interval, without their units if these are the mean's; `` if none."""
        if estimate is None or estimate.interval is None:
            return ""
        bounds = [self.text(bound) for bound in estimate.interval]
        unit = self.text(estimate.mean).partition(" ")[2]
        if unit and all(bound.partition(" ")[2] == unit for bound in bounds):
            bounds = [bound.partition(" ")[0] for bound in bounds]
        return " to ".join(bounds)


def measures(plan: Plan, asked: Sequence[str] = ()) -> tuple[Measure, ...]:
    """Return the metrics to show.

    Args:
        plan: the plan with the workloads.
        asked: labels such as `download.goodput`; by default each workload's median latency or goodput, and its loss if
            its messages can be lost. Of workloads that the members of a group run, it is the median of the members.

    Raises:
        UsageError: `unknown-workload`, `unknown-metric`.
    """
    if asked:
        return tuple(_named(plan, label) for label in dict.fromkeys(asked))
    measured = (
        Measure(workload=workload.group, metric=aggregate(metric, _OF_MEMBERS))
        if workload.group
        else Measure(workload=workload.name, metric=metric)
        for workload in plan.workloads
        for metric in _main(workload)
    )
    return tuple(dict.fromkeys(measured))


def _main(workload: Workload) -> list[Metric]:
    metrics = _numbers(workload.kind)
    main = [name for name in _MAIN if name in metrics][:1] or [*metrics][:1]
    beside = [_BESIDE] if _LOSES in metrics else []
    return [metrics[name] for name in (*main, *beside)]


def _named(plan: Plan, label: str) -> Measure:
    name, _, wanted = label.partition(".")
    kinds, groups = plan.kinds, {workload.group for workload in plan.workloads}
    if name not in kinds:
        hint = nearest(name, kinds, "workloads")
        raise UsageError("unknown-workload", f"--metric {quote(label)}: there is no workload {quote(name)}", hint)
    metric = (find_aggregate if name in groups else find)(wanted, kinds[name])
    if metric is None or metric.unit == "name":
        numbers = _numbers(kinds[name]).values()
        labels = [(aggregate(number, _OF_MEMBERS) if name in groups else number).label for number in numbers]
        hint = nearest(wanted, labels, f"those of {kinds[name]}")
        raise UsageError("unknown-metric", f"--metric {quote(label)}: there is no numeric metric {quote(wanted)}", hint)
    return Measure(workload=name, metric=metric)


def _numbers(kind: str) -> dict[str, Metric]:
    """The metrics of a kind that are numbers, by name."""
    return {name: metric for name, metric in METRICS.items() if kind in metric.kinds and metric.unit != "name"}
