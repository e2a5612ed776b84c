"""Tables of links and workloads for a terminal, and for lines that are not one. Imports rich: import it when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from testbed.analysis import formatting
from testbed.cli import sparklines
from testbed.cli.columns import GAP, Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from testbed.analysis.samples import RecordedSamples
    from testbed.check import LinkCheck
    from testbed.expectations import ExpectationOutcome
    from testbed.runs.flows import FlowSum
    from testbed.workloads.summary import Summary

_OVER_TIME = "over time"
_OK, _NOT_OK = "green", "red"


def link_table(checks: Sequence[LinkCheck]) -> Columns:
    """Return the table of links: the requested and the measured properties, and the verdict."""
    properties = formatting.shown_properties(checks)
    several = len({check.network for check in checks}) > 1
    head = ("link", *(["network"] if several else []), *properties, "verdict")
    lines: list[tuple[str | Text, ...]] = [
        (
            check.link,
            *([check.network] if several else []),
            *(formatting.link_cell(check, name) for name in properties),
            Text(check.verdict, style=_OK if check.passed else _NOT_OK),
        )
        for check in checks
        if check.skipped is None
    ]
    legend = "requested: measured"
    caption = "\n".join([legend, *formatting.reservations(checks)])
    return Columns(head, lines, keys=1 + several, caption=caption)


def workload_table(
    summaries: Sequence[Summary], recorded: RecordedSamples | None = None, sums: Sequence[FlowSum] = ()
) -> WorkloadTable:
    """Return the main metrics of each workload; `-` if its kind has no such metric, `?` if it could not be measured.

    Args:
        summaries: of the workloads.
        recorded: their samples, for sparklines if the terminal has room and characters for them.
        sums: of flows that ran together; each is a line below.
    """
    return WorkloadTable(summaries, recorded, sums)


class WorkloadTable:
    """A table as wide as the terminal allows, with sparklines over time in the remaining space."""

    def __init__(self, summaries: Sequence[Summary], recorded: RecordedSamples | None, sums: Sequence[FlowSum]) -> None:
        cells = [formatting.workload_cells(summary) for summary in summaries]
        known = [
            name for name in formatting.WORKLOAD_COLUMNS if any(one[name] != formatting.NOT_APPLICABLE for one in cells)
        ]
        self._head = ("workload", "kind", *known)
        self._lines = [
            (summary.workload, summary.kind, *(one[name] for name in known))
            for summary, one in zip(summaries, cells, strict=True)
        ]
        for flow_sum in sums:
            goodput = {"goodput": formatting.rate(flow_sum.goodput_bps)}
            line = (f"sum of {len(flow_sum.workloads)}", flow_sum.kind, *(goodput.get(name, "") for name in known))
            self._lines.append(line)
        self._fairness = [
            f"Jain's fairness index of the {len(flow_sum.workloads)} {flow_sum.kind}: {flow_sum.jain:.3f} (1 is equal)"
            for flow_sum in sums
            if flow_sum.jain is not None
        ]
        self._recorded = recorded

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Columns(self._head, self._lines, caption="\n".join(self._fairness))
        if self._recorded is not None and not options.ascii_only:
            length = min(sparklines.LENGTH, options.max_width - table.width - GAP)
            if length >= len(_OVER_TIME):
                table = self._with_sparklines(self._recorded, length)
        yield table

    def _with_sparklines(self, recorded: RecordedSamples, length: int) -> Columns:
        sparks = {name: sparklines.over_time(samples, length) for name, samples in recorded.samples.items()}
        lines = [(*line, sparks.get(line[0], "")) for line in self._lines]
        caption = f"{_OVER_TIME}: goodput; the greatest latencies where there is none"
        return Columns((*self._head, _OVER_TIME), lines, caption="\n".join([*self._fairness, caption]))


def outcome_table(outcomes: Sequence[ExpectationOutcome]) -> Columns:
    """Return the table of expectations: the measured and the expected value, and the verdict."""
    lines: list[tuple[str | Text, ...]] = [
        (
            outcome.expectation,
            *formatting.outcome_cells(outcome),
            Text(
                "undecided" if outcome.reason else formatting.outcome_verdict(outcome),
                _OK if outcome.passed else _NOT_OK,
            ),
        )
        for outcome in outcomes
    ]
    reasons = dict.fromkeys(outcome.reason for outcome in outcomes if outcome.reason)
    return Columns(("expect", "found", "wanted", ""), lines, caption="\n".join(reasons))
