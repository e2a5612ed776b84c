"""Tables of links and workloads for a terminal, and for lines that are not one. Imports rich: import it when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from testbed.results import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.check import LinkCheck
    from testbed.workloads import Summary

_OK, _NOT_OK = "green", "red"


def link_table(checks: Sequence[LinkCheck]) -> Table:
    """What was asked of each link, what was measured, and the verdict."""
    properties = rows.asked_properties(checks)
    several = len({check.network for check in checks}) > 1
    table = _table("link", *(["network"] if several else []), *(f"{name}: measured" for name in properties), "")
    for check in checks:
        table.add_row(
            check.link,
            *([check.network] if several else []),
            *(rows.link_cell(check, name) for name in properties),
            Text(check.verdict, style=_OK if check.passed else _NOT_OK),
        )
    return table


def workload_table(summaries: Sequence[Summary]) -> Table:
    """The main figures of each workload; `-` where its kind has no such figure, `?` where it could not be had."""
    table = _table("workload", "kind", *rows.WORKLOAD_COLUMNS)
    for summary in summaries:
        table.add_row(summary.workload, summary.kind, *rows.workload_cells(summary).values())
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
