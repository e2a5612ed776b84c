"""The tables of a run that notebooks show: its links as requested and as measured, and the metrics of its workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.check.cells import link_cell, shown_properties
from testbed.html_tables import html_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.check import LinkCheck
    from testbed.workloads.summary import Summary


def tables(checks: Sequence[LinkCheck], summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield a table of the links, if they were measured, and one of the metrics, a column for each workload."""
    if checks:
        properties = shown_properties(checks)
        rows = [(check.full_name, *(link_cell(check, name) for name in properties), check.verdict) for check in checks]
        yield html_table("links, requested: measured", ("link", *properties, "verdict"), rows)
    labels = dict.fromkeys(label for summary in summaries for label in summary.labels)
    head = ("metric", *(f"{summary.workload} ({summary.kind})" for summary in summaries))
    yield html_table(
        "workloads",
        head,
        [
            (label, *(summary.shown(label) if label in summary.labels else "" for summary in summaries))
            for label in labels
        ],
    )
