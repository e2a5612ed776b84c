"""Tables of links and workloads for a terminal, and for lines that are not one. Imports rich: import it when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from testbed.results import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.check import LinkCheck
    from testbed.expectations import Outcome
    from testbed.workloads import Summary

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


def workload_table(summaries: Sequence[Summary]) -> Table:
    """The main figures of each workload; `-` where its kind has no such figure, `?` where it could not be had."""
    lines = [(summary.workload, summary.kind, *rows.workload_cells(summary).values()) for summary in summaries]
    return _table(("workload", "kind", *rows.WORKLOAD_COLUMNS), lines)


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
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in head:
        table.add_column(name, overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table
