"""Commands that repeat runs and pack them for other machines: replay, export."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from testbed import engines, interruption, report, runs
from testbed.cli import json_output, options
from testbed.cli.reports import compare_command
from testbed.cli.runs import FAILED, show
from testbed.cli.screen import Screen
from testbed.errors import MachineError, UsageError
from testbed.lab import Lab
from testbed.runs import archive
from testbed.runs.output_files import require_writable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.runs import Run


@click.command("replay")
@click.argument("name", metavar="RUN|FILE|LAB|latest")
@click.option("--name", "lab", metavar="LAB", help="Name of the lab; by default the run's.")
@click.option("--runtime", type=click.Choice(["auto", "docker", "netns"]), help="Runtime to use instead of the run's.")
@click.option("--engine", type=click.Choice(engines.CHOICES), help="Engine to use for all links instead of the run's.")
@options.kept
@json_output.as_json
@click.pass_context
def replay_command(
    context: click.Context,
    name: str,
    root: Path,
    *,
    lab: str | None,
    runtime: str | None,
    engine: str | None,
    as_json: bool,
) -> int:
    """Repeat a run, on this machine or another, and compare the two.

    RUN is a run's directory, FILE an export of a run; LAB stands for that lab's last complete run. The run contains
    all that is needed: plan, seeds and traces. The same workloads run and the same packets are captured, on the same
    runtime and engines; if this machine lacks one of them, the command fails. The exit status is 1 if a link is not as
    requested or an expectation is not met.
    """
    require_writable(root)
    old = runs.load(name, root)
    if not old.is_whole:
        raise UsageError(
            "run-incomplete",
            f"{old.path} {old.ending}",
            "only a complete run can be repeated and compared; run its topology with testbed run",
        )
    with Screen(quiet=as_json) as screen:
        screen.title(old.plan)
        screen.say("replay", f"{old.path}   plan {old.plan.digest[:12]}   seed {old.plan.seed}")
        with interruption.deferred():
            with _insisting():
                repeated = Lab.up_again(old, name=lab, runtime=runtime, engine=engine, observer=screen)
            try:
                with interruption.delivered():
                    new = repeated.run(
                        root,
                        only=[summary.workload for summary in old.summaries],
                        capture=[capture.node for capture in old.captures],
                        observer=screen,
                    )
            finally:
                repeated.down(screen)
        show(new, screen)
        screen.show("")
    context.invoke(compare_command, names=(str(old.path), str(new.path)), root=root, as_json=as_json)
    return 0 if new.as_expected else FAILED


@contextmanager
def _insisting() -> Iterator[None]:
    """Add a hint to the error that this machine lacks the run's runtime or engine."""
    try:
        yield
    except MachineError as error:
        if error.code != "missing-files":  # which no runtime can do without
            error.add_note(
                "--runtime auto and --engine auto use what this machine has; the comparison then shows the difference"
            )
        raise


@click.command("export")
@click.argument("name", default="latest", metavar="[RUN|LAB|latest]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write.  [default: LAB-TIME-ID.zip]"
)
@options.kept
@json_output.as_json
def export_command(name: str, output: Path | None, root: Path, *, as_json: bool) -> None:
    """Pack a run, complete or not, into one file with its samples and report; print the file's name.

    testbed report, compare and replay accept the file in place of the run's directory, on any machine. It contains
    the plan, and so the environment variables that the topology sets in nodes.
    """
    run = runs.load(name, root)
    if not (run.path / report.REPORT_FILE).exists():
        report.write(run)
    file = archive.export(run, output or _file_of(run))
    if as_json:
        json_output.show({"run": str(run.path), "file": str(file)})
    else:
        click.echo(file)


def _file_of(run: Run) -> Path:
    return Path(f"{run.plan.lab}-{run.path.name}.zip")
