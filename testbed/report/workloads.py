"""The table of a run's workloads; similar ones share a line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from testbed.analysis import formatting
from testbed.report.cells import Cells, TableCell
from testbed.report.sampling import spread
from testbed.report.stage import alike, group_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.plan.workloads import Workload
    from testbed.runs.flows import FlowSum
    from testbed.runs.run import Run
    from testbed.workloads.summary import Summary

_MOST_LINES = 60
"""With more of them, the table has a line for each kind."""

_MOST_EACH = 200
"""The most workloads that stand behind one line."""

_METRICS = {
    "goodput": ("goodput_bps", "bit/s"),
    "lost": ("loss_ratio", "ratio"),
    "retrans": ("retransmits", "count"),
    "set-up": ("setup_ns", "ns"),
    "first byte": ("first_byte_ns", "ns"),
    "p50": ("latency_p50_ns", "ns"),
    "p99": ("latency_p99_ns", "ns"),
}
"""By the name of a column of `formatting.workload_cells` its metric and unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLines:
    """The lines of similar workloads, one by one."""

    name: str
    lines: Sequence[Cells]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWorkloadTable:
    """The table.

    Attributes:
        head, lines: of the table.
        groups: the lines that stand behind one that is of several workloads.
        fairness: sentences on how evenly flows of one kind shared.
        without: names of workloads without a result.
    """

    head: Sequence[str]
    lines: Sequence[Cells]
    groups: Sequence[MemberLines]
    fairness: Sequence[str]
    without: Sequence[str]


def workload_table(run: Run) -> PageWorkloadTable:
    """Return the main metrics of each workload of a run; of similar ones the median, minimum and maximum."""
    summaries = {summary.workload: summary for summary in run.summaries}
    parts = [
        (number, group)
        for number, stage in enumerate(run.plan.stages, 1)
        for group in alike((workload for workload in stage if workload.name in summaries), few=1)
    ]
    if len(parts) > _MOST_LINES:
        return _of_kinds(run, summaries)
    lines: list[Cells] = []
    groups: list[MemberLines] = []
    texts = {name: formatting.workload_cells(summary) for name, summary in summaries.items()}
    columns = _columns(texts.values())
    for number, stage in enumerate(run.plan.stages, 1):
        for group in alike((workload for workload in stage if workload.name in summaries), few=1):
            single: list[Cells] = [
                [_name(workload, number), *(texts[workload.name][column] for column in columns)] for workload in group
            ]
            if len(group) == 1:
                lines += single
                continue
            names = group[0].group or group_name([workload.name for workload in group])
            head = TableCell(text=names, below=f"{len(group)} {group[0].kind}", href=f"#stage-{number}")
            lines.append(_line(head, group, summaries, columns))
            groups.append(MemberLines(name=names, lines=spread(single, _MOST_EACH)))
        lines += [
            _sum(flow_sum, columns)
            for flow_sum in run.sums
            if {*flow_sum.workloads} <= {workload.name for workload in stage}
        ]
    without = [workload.name for workload in run.plan.workloads if workload.name not in summaries]
    return PageWorkloadTable(
        head=["workload", *columns],
        lines=lines,
        groups=groups,
        fairness=[
            f"Jain's fairness index of the {len(flow_sum.workloads)} {flow_sum.kind}: {flow_sum.jain:.3f} (1 is equal)."
            for flow_sum in run.sums
            if flow_sum.jain is not None
        ],
        without=without,
    )


def _of_kinds(run: Run, summaries: dict[str, Summary]) -> PageWorkloadTable:
    """Return the table of very many workloads: a line for each kind, and behind it some of them."""
    kinds: dict[str, list[Workload]] = {}
    for workload in run.plan.workloads:
        if workload.name in summaries:
            kinds.setdefault(workload.kind, []).append(workload)
    columns = _columns(map(formatting.workload_cells, summaries.values()))
    stages = {workload.name: number for number, stage in enumerate(run.plan.stages, 1) for workload in stage}
    groups = []
    for kind, workloads in kinds.items():
        shown = spread(workloads, _MOST_EACH)
        cells = [formatting.workload_cells(summaries[workload.name]) for workload in shown]
        each: list[Cells] = [
            [_name(workload, stages[workload.name]), *(row[column] for column in columns)]
            for workload, row in zip(shown, cells, strict=True)
        ]
        some = f", {len(shown)} of them: run.json has all" if len(shown) < len(workloads) else ""
        groups.append(MemberLines(name=f"{len(workloads):,} {kind}{some}", lines=each))
    without = [workload.name for workload in run.plan.workloads if workload.name not in summaries]
    return PageWorkloadTable(
        head=["workload", *columns],
        lines=[
            _line(TableCell(text=f"all {len(workloads):,} {kind}"), workloads, summaries, columns)
            for kind, workloads in kinds.items()
        ],
        groups=groups,
        fairness=[],
        without=[*without[:_MOST_EACH], *([f"{len(without) - _MOST_EACH} more"] if without[_MOST_EACH:] else [])],
    )


def _columns(rows: Iterable[dict[str, str]]) -> list[str]:
    """Return the columns in which a workload has something."""
    known = {name for row in rows for name, text in row.items() if text != formatting.NOT_APPLICABLE}
    return [name for name in formatting.WORKLOAD_COLUMNS if name in known]


def _line(head: TableCell, workloads: Sequence[Workload], summaries: dict[str, Summary], columns: list[str]) -> Cells:
    """Return the line of several workloads: medians, and below them the least and greatest values."""
    ends = f"{_nodes(each.source for each in workloads)} → {_nodes(each.destination for each in workloads)}"
    below = f"{head.below}, {ends}" if head.below else ends
    several = [summaries[workload.name] for workload in workloads]
    cells = [_together(column, several) for column in columns]
    return [replace(head, below=f"{below}; median, least to greatest"), *cells]


def _sum(of: FlowSum, columns: Sequence[str]) -> Cells:
    """Return the line of the sum of flows of one kind that ran together."""
    cells = [formatting.rate(of.goodput_bps) if column == "goodput" else "" for column in columns]
    return [TableCell(text=f"sum of {len(of.workloads)}", below=of.kind), *cells]


def _name(workload: Workload, stage: int) -> TableCell:
    there = workload.source != workload.destination
    ends = f"{workload.source} → {workload.destination}" if there else f"in {workload.source}"
    return TableCell(text=workload.name, below=f"{workload.kind}, {ends}", href=f"#stage-{stage}")


def _nodes(names: Iterable[str]) -> str:
    """Return the name of a node, or how many nodes there are."""
    different = {*names}
    return f"{len(different)} nodes" if len(different) > 1 else different.pop()


def _together(column: str, summaries: Sequence[Summary]) -> str | TableCell:
    """Return the cell of several workloads: the median, and below it the minimum and maximum."""
    if column not in _METRICS:
        shown = {formatting.workload_cells(summary)[column] for summary in summaries}
        return shown.pop() if len(shown) == 1 else "see each"
    name, unit = _METRICS[column]
    values = [value for summary in summaries if isinstance(value := summary.values.get(name), (int, float))]
    if not values:
        return formatting.workload_cells(summaries[0])[column]
    least, middle, most = (formatting.metric_text(each, unit) for each in (min(values), median(values), max(values)))
    return middle if least == most else TableCell(text=middle, below=f"{least} to {most}")
