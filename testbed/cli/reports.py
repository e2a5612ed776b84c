"""Commands about runs that were kept: report, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from testbed import report, runs
from testbed.analysis import comparison, formatting
from testbed.analysis.comparison import Limit, MetricChange, RunGroup
from testbed.cli import json_output, options
from testbed.cli.console import make_console
from testbed.errors import UsageError
from testbed.plan.differences import plan_differences
from testbed.report.comparison_page import Comparison, write_comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

FAILED = 1
_AT_LEAST = 2


@click.command("report")
@click.argument("run", default="latest", metavar="[RUN|LAB|latest]")
@options.kept
@json_output.as_json
def report_command(run: str, root: Path, *, as_json: bool) -> None:
    """Write the report of a run again and print its path.

    RUN is a run's directory; LAB stands for that lab's last complete run. The report needs neither a network nor
    scripts.
    """
    found = runs.load(run, root)
    written = report.write(found)
    if as_json:
        json_output.show({"run": str(found.path), "report": str(written)})
    else:
        click.echo(written)


@click.command("compare")
@click.argument("names", nargs=-1, required=True, metavar="A B [C...]")
@click.option(
    "--different-plans", is_flag=True, help="Also compare runs of different plans, and show how the plans differ."
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write an HTML page with charts."
)
@click.option(
    "--fail-if", "limits", multiple=True, metavar="CHANGE", help="Exit with 1 on this change: download.goodput < -10%"
)
@options.kept
@json_output.as_json
def compare_command(
    names: tuple[str, ...],
    limits: tuple[str, ...],
    root: Path,
    html: Path | None,
    *,
    different_plans: bool,
    as_json: bool,
) -> int:
    """Compare runs with the first: every metric, its change, and whether the change is significant.

    Each of A, B... is a run's directory, a LAB for its last complete run, or the directory of a lab's runs
    (results/LAB) for all of them as repetitions. Metrics are then means over the runs, each change with its 99 %
    confidence interval if both sides have three runs or more. The exit status is 1 if a change is one of --fail-if.
    """
    if len(names) < _AT_LEAST:
        raise UsageError("nothing-to-compare", f"only {names[0]} was given", "give two runs or more")
    unwanted = [Limit.parse(text) for text in limits]
    first, *others = [comparison.side(name, root) for name in names]
    if not different_plans and (other := next((one for one in others if not comparison.same_plans(first, one)), None)):
        raise UsageError(
            "different-plans",
            f"{first.label} and {other.label} are of different plans: {_first_difference(first, other)}",
            "--different-plans compares them anyway",
        )
    compared = [(other, comparison.changes(first, other)) for other in others]
    violations = [
        f"{other.label}: {said}"
        for other, changes in compared
        for limit in unwanted
        if (said := limit.violation(changes))
    ]
    if as_json:
        json_output.show([_plain(first, other, changes) for other, changes in compared])
    else:
        for other, changes in compared:
            _show(first, other, changes)
    if html is not None:
        write_comparison(
            html, first, [Comparison(other=other, changes=changes) for other, changes in compared], violations
        )
        click.echo(f"report  {html}", err=as_json)
    for violation in violations:
        click.echo(f"failed  {violation}", err=True)
    return FAILED if violations else 0


def _first_difference(one: RunGroup, other: RunGroup) -> str:
    found = plan_differences(one.runs[0].plan, other.runs[0].plan)
    return f"{found[0][0]} is {found[0][1]} and {found[0][2]}" if found else "in seeds or addresses"


def _plain(first: RunGroup, other: RunGroup, changes: Sequence[MetricChange]) -> dict[str, Any]:
    return {
        "before": {"label": first.label, "runs": [str(run.path) for run in first.runs]},
        "after": {"label": other.label, "runs": [str(run.path) for run in other.runs]},
        "same_plans": comparison.same_plans(first, other),
        "plan_differences": plan_differences(first.runs[0].plan, other.runs[0].plan),
        "warnings": comparison.warnings(first, other),
        "changes": [change.to_json() for change in changes],
    }


def _show(first: RunGroup, other: RunGroup, changes: Sequence[MetricChange]) -> None:
    """Print both sides and the changes between them; list metrics that are the same in one line."""
    console = make_console()
    _show_sides(console, first, other)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("metric", "before", "after", "change", "verdict"):
        table.add_column(column, overflow="fold")
    same = [change.label for change in changes if change.verdict == comparison.THE_SAME]
    for change in changes:
        if change.label not in same:
            table.add_row(change.label, *formatting.change_cells(change), change.verdict)
    console.print()
    if table.row_count:
        console.print(table)
    if any(change.verdict == comparison.NO_CONCLUSION for change in changes):
        console.print(comparison.what_would_tell(first, other))
    if same:
        console.print(f"The same in all runs: {', '.join(same)}.", markup=False)
    console.print()


def _show_sides(console: Console, first: RunGroup, other: RunGroup) -> None:
    """Print both sides, how their plans differ, and the warnings about comparing them."""
    for name, side in (("before", first), ("after", other)):
        runs = f"{len(side.runs)} run{'' if len(side.runs) == 1 else 's'}"
        console.print(f"{name:<7} {side.label}   {runs}", markup=False, soft_wrap=True)
    for path, one, two in plan_differences(first.runs[0].plan, other.runs[0].plan):
        console.print(f"plan    {path}: {one} before, {two} after", markup=False, soft_wrap=True)
    for warning in comparison.warnings(first, other):
        console.print(f"warning {warning}", markup=False, soft_wrap=True)
