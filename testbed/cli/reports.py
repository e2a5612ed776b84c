"""Commands about runs that were kept: report, compare."""

from __future__ import annotations

from pathlib import Path

import click

from testbed import results
from testbed.results import report

_kept = click.option(
    "--results", "root", type=click.Path(path_type=Path), default="results", show_default=True, help="Where runs are."
)


@click.command("report")
@click.argument("run", default="latest", metavar="[RUN|LAB|latest]")
@_kept
def report_command(run: str, root: Path) -> None:
    """Write the report of a run again, and print where it is.

    RUN is a run's directory; of a LAB it is the last whole run. The report needs no network and no script.
    """
    click.echo(report.write(results.load(run, root)))
