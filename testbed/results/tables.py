"""Tables of links and workloads for a terminal, and for lines that are not one. Imports rich: import it when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from testbed.results import rows, sparklines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from testbed.check import LinkCheck
    from testbed.expectations import Outcome
    from testbed.results.report import Recorded
    from testbed.workloads import Summary

_ENDLESS = 10_000
_BETWEEN = 2
_OVER_TIME = "over time"
_OK, _NOT_OK = "green", "red"


def link_table(checks: Sequence[LinkCheck]) -> Table:
    """What was asked of each link, what was measured, and the verdict."""
    properties = rows.asked_properties(checks)
    several = len({check.network for check in checks}) > 1
    head = ("link", *(["network"] if several else []), *properties, "verdict")
    lines: list[tuple[str | Text, ...]] = [
        (
            check.link,
            *([check.network] if several else []),
            *(rows.link_cell(check, name) for name in properties),
            Text(check.verdict, style=_OK if check.passed else _NOT_OK),
        )
        for check in checks
    ]
    table = _table(head, lines)
    legend = "asked: measured" + ("; of jitter the standard deviation" if "jitter" in properties else "")
    table.caption = "\n".join([legend, *rows.reservations(checks)])
    table.caption_justify = "left"
    return table


def workload_table(summaries: Sequence[Summary], recorded: Recorded | None = None) -> WorkloadTable:
    """The main figures of each workload; `-` where its kind has no such figure, `?` where it could not be had.

    Args:
        summaries: of the workloads.
        recorded: their samples: their course is shown where the terminal has room and signs for it.
    """
    return WorkloadTable(summaries, recorded)


class WorkloadTable:
    """A table as wide as the terminal allows, with what happened over time in the space that is left."""

    def __init__(self, summaries: Sequence[Summary], recorded: Recorded | None) -> None:
        cells = [rows.workload_cells(each) for each in summaries]
        known = [name for name in rows.WORKLOAD_COLUMNS if any(one[name] != rows.NOT_APPLICABLE for one in cells)]
        self._head = ("workload", "kind", *known)
        self._lines = [
            (each.workload, each.kind, *(one[name] for name in known))
            for each, one in zip(summaries, cells, strict=True)
        ]
        self._recorded = recorded

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = _table(self._head, self._lines)
        if self._recorded is not None and not options.ascii_only:
            needed = Measurement.get(console, options.update(width=_ENDLESS), table).maximum
            length = min(sparklines.LENGTH, options.max_width - needed - _BETWEEN)
            if length >= len(_OVER_TIME):
                table = self._with_courses(self._recorded, length)
        yield table

    def _with_courses(self, recorded: Recorded, length: int) -> Table:
        courses = {name: sparklines.over_time(samples, length) for name, samples in recorded.samples.items()}
        lines = [(*line, courses.get(line[0], "")) for line in self._lines]
        table = _table((*self._head, _OVER_TIME), lines)
        table.caption = f"{_OVER_TIME}: goodput; the greatest latencies where there is none"
        table.caption_justify = "left"
        return table


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """Each expectation, what was found, what was wanted, and whether that is so."""
    lines: list[tuple[str | Text, ...]] = [
        (
            outcome.expectation,
            *rows.outcome_cells(outcome),
            Text(rows.outcome_verdict(outcome), style=_OK if outcome.passed else _NOT_OK),
        )
        for outcome in outcomes
    ]
    return _table(("expect", "found", "wanted", ""), lines)


def _table(head: Sequence[str], lines: Sequence[Sequence[str | Text]]) -> Table:
    """Where it gets too narrow, cells go on in the next line; nothing is cut off."""
    table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0), header_style="bold")
    for name in head:
        table.add_column(name, overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table
