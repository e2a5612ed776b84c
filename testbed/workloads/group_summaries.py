"""The summary of a workload that the members of a group of nodes run: aggregates of their metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import fmean, median
from typing import TYPE_CHECKING

from testbed.metrics import aggregate, metric_of
from testbed.workloads.summary import Figures, Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from testbed.plan.workloads import Workload

_FUNCTIONS: Mapping[str, Callable[[Sequence[int | float]], int | float]] = {
    "min": min,
    "median": lambda values: _whole(median(values)),
    "mean": fmean,
    "max": max,
    "sum": sum,
}


def _whole(value: float) -> int | float:
    """Return a number without a fraction as an integer: a median of counts is a count."""
    return int(value) if value == int(value) else value


def group_summaries(workloads: Iterable[Workload], summaries: Iterable[Summary]) -> tuple[Summary, ...]:
    """Return the summary of each workload that all members of a group have run, in the order of `workloads`.

    Its metrics are the aggregates of those of the members: `goodput_bps.median` (`testbed.kinds.Metric.aggregates`).

    Args:
        workloads: of the plan.
        summaries: of those that ended.
    """
    ended = {summary.workload: summary for summary in summaries}
    groups: dict[str, list[str]] = {}
    for workload in workloads:
        if workload.group:
            groups.setdefault(workload.group, []).append(workload.name)
    return tuple(
        _together(group, [ended[name] for name in names])
        for group, names in groups.items()
        if all(name in ended for name in names)
    )


def by_kind(workloads: Sequence[Workload], summaries: Iterable[Summary]) -> tuple[Summary, ...]:
    """Return a summary for all workloads of each kind that ended, as if they were a group; named `1000 udp-stream`."""
    kept = [*summaries]
    ended = {summary.workload: summary.kind for summary in kept}
    counts = Counter(ended.values())
    as_groups = [
        replace(workload, group=f"{counts[workload.kind]:,} {workload.kind}")
        for workload in workloads
        if workload.name in ended
    ]
    return group_summaries(as_groups, kept)


def extremes(summary: Summary) -> Iterator[Summary]:
    """Yield the least, the median and the greatest values of a group's members, each as a summary of one workload."""
    for how, word in (("min", "least"), ("median", "median"), ("max", "greatest")):
        suffix = f".{how}"
        values = {name.removesuffix(suffix): each for name, each in summary.values.items() if name.endswith(suffix)}
        missing = {name.removesuffix(suffix): each for name, each in summary.missing.items() if name.endswith(suffix)}
        yield replace(summary, workload=f"{summary.workload} {word}", values=values, missing=missing)


def _together(group: str, members: Sequence[Summary]) -> Summary:
    figures = Figures()
    for name in dict.fromkeys(name for member in members for name in (*member.values, *member.missing)):
        metric = metric_of(name)
        if not metric.aggregates:
            continue
        values = [value for member in members if isinstance(value := member.values.get(name), int | float)]
        lacking = [member for member in members if not isinstance(member.values.get(name), int | float)]
        if all(name not in member.values for member in members):
            names = (aggregate(metric, how).name for how in metric.aggregates)
            figures.leave_out(*names, why=members[0].missing[name])
            continue
        for how in metric.aggregates:
            value = None if lacking else _FUNCTIONS[how](values)
            figures.put(aggregate(metric, how).name, value, unless=_why(name, lacking, len(members)))
    return figures.summary(group, members[0].kind)


def _why(name: str, lacking: Sequence[Summary], count: int) -> str:
    """Return why there is no aggregate: the reason of the first member that lacks the metric."""
    if not lacking:
        return ""
    first = lacking[0]
    reason = first.missing.get(name, "it was not reported")
    return f"{first.workload}: {reason}" + (f" ({len(lacking)} of {count} lack it)" if len(lacking) > 1 else "")
