"""Comparison of runs: the change of each metric between two sides, each one run or several repetitions.

A run counts once, whatever the number of its samples: those of one run share its fate (one loss decides a whole
download), so only repetitions show how far chance alone moves a metric.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from math import inf, isfinite
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from testbed.errors import UsageError
from testbed.metrics import METRICS, find, find_aggregate, metric_of
from testbed.plan.differences import are_repetitions
from testbed.runs.reading import load, whole_runs
from testbed.runs.run import RUN_FILE
from testbed.statistics import LEAST_RUNS, difference_interval, scale_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from testbed.runs.run import Run
    from testbed.workloads.summary import Summary

ENOUGH = LEAST_RUNS
"""The least runs of each side for a verdict."""

CONFIDENCE = 0.99
THE_SAME = "the same"
NO_CONCLUSION = "too few runs: no conclusion"
_LIMIT = re.compile(r"(?P<workload>[^.\s]+)\.(?P<metric>\S+)\s*(?P<sign><=|>=|<|>)\s*(?P<percent>[+-]?\d+(\.\d+)?)\s*%")
_EXCEEDS = {
    "<": lambda change, bound: change < bound,
    "<=": lambda change, bound: change <= bound,
    ">": lambda change, bound: change > bound,
    ">=": lambda change, bound: change >= bound,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGroup:
    """Runs of the same plan (seeds may differ).

    Attributes:
        label: as it was asked for.
        runs: at least one, all whole.
    """

    label: str
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """The change of a workload's metric from one side to the other; both values are means over runs.

    Attributes:
        metric: its name, see `testbed.metrics`.
        unit: of the values.
        before, after: None if no run has the metric.
        runs: number of runs that have it, on each side.
        difference: `after - before`, or None.
        interval: 99 % confidence interval of the difference, see `testbed.statistics.difference_interval`; None if a
            side has fewer than three runs.
        verdict: in plain words.
    """

    workload: str
    metric: str
    unit: str
    before: float | None
    after: float | None
    runs: tuple[int, int]
    difference: float | None
    interval: tuple[float, float] | None
    verdict: str

    @property
    def label(self) -> str:
        """The metric's name in files and on the command line: `download.goodput`."""
        return f"{self.workload}.{metric_of(self.metric).label}"

    @property
    def ratio(self) -> float | None:
        """The difference relative to `before`: -0.1 is 10 % less; infinite if `before` is zero."""
        if self.difference is None or self.before is None:
            return None
        if not self.before:
            return inf if self.difference > 0 else -inf if self.difference < 0 else 0.0
        return self.difference / abs(self.before)

    def to_json(self) -> dict[str, Any]:
        """Return the change as a JSON object; `ratio` is None if it is not finite."""
        ratio = self.ratio
        return {"label": self.label, **asdict(self), "ratio": ratio if ratio is not None and isfinite(ratio) else None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit on the change of a metric: `download.goodput < -10%` is a violation."""

    text: str
    workload: str
    metric: str
    sign: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Parse a limit; the metric is given by its label or its name.

        Raises:
            UsageError: `bad-limit`, `unknown-metric`.
        """
        match = _LIMIT.fullmatch(text.strip())
        if match is None:
            hint = "write one like download.goodput < -10%"
            raise UsageError("bad-limit", f"{text!r} is not a change of a metric in percent", hint)
        label = match["metric"]
        metric = find(label, None) or find_aggregate(label, None) or METRICS.get(label)
        if metric is None or metric.unit == "name":
            raise UsageError(
                "unknown-metric",
                f"there is no numeric metric {match['metric']!r}",
                "testbed metrics lists them",
            )
        bound = float(match["percent"]) / 100
        return cls(text=text.strip(), workload=match["workload"], metric=metric.name, sign=match["sign"], bound=bound)

    def violation(self, changes: Sequence[MetricChange]) -> str | None:
        """Return how the changes violate the limit, or None if they don't.

        Raises:
            UsageError: `unknown-metric`: no run has this metric of this workload.
        """
        change = next(
            (
                metric_change
                for metric_change in changes
                if (metric_change.workload, metric_change.metric) == (self.workload, self.metric)
            ),
            None,
        )
        if change is None:
            known = ", ".join(sorted({metric_change.label for metric_change in changes}))
            wanted = f"{self.workload}.{metric_of(self.metric).label}"
            raise UsageError("unknown-metric", f"no run has {wanted}", f"they have: {known}")
        if change.ratio is None:
            return f"{self.text}: undecided, {change.verdict}"
        if _EXCEEDS[self.sign](change.ratio, self.bound):
            return f"{self.text}: it changed by {100 * change.ratio:+.3g} %"
        return None


def side(name: str, root: Path = Path("results")) -> RunGroup:
    """Return the runs that a command-line argument names.

    Args:
        name: what `testbed.runs.load` takes; or the directory of a lab's runs, for all complete ones.
        root: the directory of all runs.

    Raises:
        UsageError: there is no such run, a run is incomplete, or the runs are not repetitions of one another.
    """
    directory = Path(name)
    several = [] if (directory / RUN_FILE).is_file() or not directory.is_dir() else whole_runs(directory)
    runs = tuple(load(path) for path in several) or (load(name, root),)
    for run in runs:
        if not run.is_whole:
            raise UsageError("run-incomplete", f"{run.path} {run.ending}", "compare complete runs")
        if not are_repetitions(runs[0].plan, run.plan):
            raise UsageError(
                "not-repetitions",
                f"{runs[0].path.name} and {run.path.name} in {name} are of different plans",
                "name the runs one by one, or keep the runs of each plan in a directory of their own",
            )
    return RunGroup(label=name, runs=runs)


def same_plans(one: RunGroup, other: RunGroup) -> bool:
    """Whether both sides have the same plans, including seeds."""
    return {run.plan.digest for run in one.runs} == {run.plan.digest for run in other.runs}


def warnings(one: RunGroup, other: RunGroup) -> list[str]:
    """Return the reasons against comparing: runs that are not trusted, changed links, different environments."""
    sentences = [
        f"{run.path.name} is not trusted: {'; '.join(run.why_not_trusted)}"
        for run in (*one.runs, *other.runs)
        if not run.trusted
    ]
    sentences += [
        f"{run.path.name} had links changed since the lab came up: {'; '.join(run.changed_links)}"
        for run in (*one.runs, *other.runs)
        if run.changed_links
    ]
    for what, of in MACHINERY.items():
        left, right = ({of(run) for run in each.runs} for each in (one, other))
        if left != right:
            sentences.append(f"{what}: {' and '.join(sorted(left))} before, {' and '.join(sorted(right))} after")
    return list(dict.fromkeys(sentences))


MACHINERY: dict[str, Callable[[Run], str]] = {
    "runtime": lambda run: run.runtime,
    "engine": lambda run: ", ".join(sorted({engine.engine for engine in run.engines})) or "none",
    "kernel": lambda run: run.versions.get("kernel", "unknown"),
    "testbed": lambda run: run.versions.get("testbed", "unknown"),
    "images": lambda run: ", ".join(f"{name} {what}" for name, what in sorted(run.images.items())) or "none",
    "processor": lambda run: f"{run.host.cpu_model}, {run.host.usable_cores} cores",
}
"""The environment that comparable runs should have in common besides their plans."""


def what_would_tell(one: RunGroup, other: RunGroup) -> str:
    """Return why there is no conclusion, and how many runs would allow one."""
    counts = len(one.runs), len(other.runs)
    runs = "one run each" if counts == (1, 1) else f"{counts[0]} and {counts[1]} runs"
    return f"No conclusion from {runs}: metrics vary by chance alone. Compare {ENOUGH} runs or more of each side."


def changes(one: RunGroup, other: RunGroup) -> tuple[MetricChange, ...]:
    """Return the change of every numeric metric of every workload that a run of either side has.

    Of workloads that the members of a group of nodes run, it is the change of their aggregates.
    """
    names = dict.fromkeys(
        (summary.workload, metric)
        for run in (*one.runs, *other.runs)
        for summary in compared(run)
        for metric, value in summary.values.items()
        if not isinstance(value, str) and metric_of(metric).unit != "name"
    )
    return tuple(_change(workload, metric, one, other) for workload, metric in names)


def compared(run: Run) -> tuple[Summary, ...]:
    """Return the summaries of a run, with one for all members of a group in place of one for each."""
    members = {workload.name for workload in run.plan.workloads if workload.group}
    return (*(summary for summary in run.summaries if summary.workload not in members), *run.groups)


def _change(workload: str, metric: str, one: RunGroup, other: RunGroup) -> MetricChange:
    before, after = list(_values(one, workload, metric)), list(_values(other, workload, metric))
    difference = fmean(after) - fmean(before) if before and after else None
    unit = metric_of(metric).unit
    interval = difference_interval(before, after, scale_of(unit), CONFIDENCE)
    return MetricChange(
        workload=workload,
        metric=metric,
        unit=unit,
        before=fmean(before) if before else None,
        after=fmean(after) if after else None,
        runs=(len(before), len(after)),
        difference=difference,
        interval=interval,
        verdict=_verdict(before, after, interval),
    )


def _values(of: RunGroup, workload: str, metric: str) -> Iterator[float]:
    for run in of.runs:
        for summary in compared(run):
            if summary.workload == workload and metric in summary.values:
                value = summary.number(metric)
                if value is not None:
                    yield value


def _verdict(before: Sequence[float], after: Sequence[float], interval: tuple[float, float] | None) -> str:
    if not before or not after:
        return f"not measured {'on either side' if not before and not after else 'before' if not before else 'after'}"
    if {*before} == {*after} and len({*before}) == 1:
        return THE_SAME
    if interval is None:
        return NO_CONCLUSION
    if interval[0] > 0:
        return "higher"
    return "lower" if interval[1] < 0 else "no difference to be seen"
