"""`testbed samples`: what a run recorded of a workload."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path  # noqa: TC003  # click's
from typing import TYPE_CHECKING

import click
from rich.table import Table

from testbed import runs
from testbed.cli import json_output, options
from testbed.cli.console import make_console
from testbed.errors import UsageError
from testbed.runs.observations import write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.runs.observations import Row


@click.command("samples")
@click.argument("run", metavar="RUN|LAB|latest")
@click.argument("workload", metavar="WORKLOAD|LINK")
@click.option("--csv", "as_csv", is_flag=True, help="Print the samples as CSV, one per line.")
@click.option(
    "--event", "events", metavar="NAME", multiple=True, help="Only samples of this event; may be given several times."
)
@options.kept
@json_output.as_json
def samples_command(
    run: str, workload: str, root: Path, *, as_csv: bool, as_json: bool, events: tuple[str, ...]
) -> None:
    """Show what a run recorded of a workload or a link ('a->b'), or print it as CSV, or JSON with a line per sample.

    Without --csv and --json, list the events, the number of each, and their columns. Times are of the machine's
    monotonic clock, in ns. A link's samples are its packets, bytes, drops by reason and queue. In Python,
    run.samples(WORKLOAD) yields the same rows.
    """
    if as_csv and as_json:
        raise UsageError("two-outputs", "--csv and --json are both given", "leave one of them out")
    found = runs.load(run, root)

    if events and not any(row["event"] in events for row in found.samples(workload)):
        raise UsageError("no-samples", f"{workload} has no event {' or '.join(events)}", "leave out --event to see all")

    def read() -> Iterator[Row]:
        return (row for row in found.samples(workload) if not events or row["event"] in events)

    if as_csv:
        write_csv(read, sys.stdout)
        return
    if as_json:
        for row in read():
            json_output.show_line(row)
        return
    counts: Counter[tuple[str, str]] = Counter()
    columns: dict[tuple[str, str], dict[str, None]] = {}
    for row in read():
        key = row["event"], row["node"]
        counts[key] += 1
        columns.setdefault(key, {}).update(dict.fromkeys(row))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("event", "node", "rows", "columns"):
        table.add_column(head, overflow="fold", justify="right" if head == "rows" else "left")
    for (event, node), count in counts.items():
        names = [name for name in columns[event, node] if name not in ("event", "node")]
        table.add_row(event, node, str(count), ", ".join(names))
    make_console().print(table)
