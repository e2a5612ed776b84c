"""Commands that measure: run, check."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from testbed import lab as labs
from testbed import report, topology
from testbed.analysis import formatting, samples
from testbed.cli import options, tables
from testbed.cli.screen import Screen
from testbed.errors import UsageError
from testbed.lab import Lab, running
from testbed.report.junit import junit_report
from testbed.runs.output_files import require_writable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from testbed.check import LinkCheck
    from testbed.cli.options import BringUp
    from testbed.runs import Run

FAILED = 1


@click.command("run")
@click.argument("source", metavar="TOPOLOGY|LAB")
@options.bring_up
@options.check_budget
@click.option(
    "--check/--no-check", "checked", default=True, help="Measure the links before the workloads.  [default: check]"
)
@click.option("--only", metavar="WORKLOAD", multiple=True, help="Run only this workload; may be given several times.")
@click.option(
    "--capture",
    metavar="NODE",
    multiple=True,
    help="Also capture packets at this node, or at all nodes (all); may be given several times.",
)
@click.option(
    "--results", type=click.Path(path_type=Path), default="results", show_default=True, help="Directory for the run."
)
@click.option(
    "--junit",
    type=click.File("wb", lazy=False),
    metavar="FILE",
    help="Write the verdicts on links and expectations as JUnit XML.",
)
@options.as_json
def run_command(
    source: str,
    how: BringUp,
    *,
    checked: bool,
    check_budget: float | None,
    only: tuple[str, ...],
    capture: tuple[str, ...],
    results: Path,
    junit: IO[bytes] | None,
    as_json: bool,
) -> int:
    """Check the links of a lab, run its workloads and keep the result.

    A lab that is not up is brought up first and taken down afterwards. The exit status is 1 if a link is not as
    requested or an expectation is not met.
    """
    require_writable(results)
    with ExitStack() as stack:
        screen = stack.enter_context(Screen(quiet=as_json))
        lab = _lab(stack, source, how, screen, only=only, capture=capture)
        run = lab.run(results, only=only, capture=capture, check=checked, check_budget_s=check_budget, observer=screen)
        if as_json:
            click.echo(json.dumps(run.to_json() | {"path": str(run.path)}, indent=2))
        show(run, screen)
        if junit is not None:
            junit.write(junit_report(run))
    return 0 if run.as_expected else FAILED


def show(run: Run, screen: Screen) -> None:
    """Print the results of a run and write its report."""
    recorded = samples.read_all(run)
    if run.checks:
        show_checks(run.checks, screen)
    if run.summaries:
        order = [workload.name for workload in run.plan.workloads]
        screen.show("")
        summaries = sorted(run.summaries, key=lambda each: order.index(each.workload))
        screen.show(tables.workload_table(summaries, recorded, run.sums))
    if run.outcomes:
        screen.show("")
        screen.show(tables.outcome_table(run.outcomes))
    screen.show("")
    for start in run.starts:
        if start.remark:
            screen.say("start", start.remark)
    if left_out := len(run.plan.expectations) - len(run.outcomes):
        screen.say("expect", f"{left_out} not evaluated: not all of their workloads were run")
    screen.say("verdict", formatting.run_verdict(run))
    for reason in run.why_not_trusted:
        screen.say("trust", f"not trusted: {reason}")
    screen.say("result", str(run.path))
    screen.say("report", str(report.write(run, recorded)))


@click.command("check")
@click.argument("words", metavar="TOPOLOGY|LAB", nargs=-1, required=True)
@click.option(
    "--container",
    "containers",
    metavar="A B KEY=VALUE...",
    nargs=2,
    help="Instead of a lab, measure the links between two containers that run, whoever impairs them.",
)
@options.bring_up
@options.check_budget
@click.option("--deep", is_flag=True, help="Measure more, such as the depth of queues; takes longer.")
@options.as_json
def check_command(
    words: tuple[str, ...],
    how: BringUp,
    *,
    containers: tuple[str, str] | None,
    check_budget: float | None,
    deep: bool,
    as_json: bool,
) -> int:
    """Measure every impaired link of a lab and compare it with its settings, from the file or from testbed impair.

    A lab that is not up is brought up first and taken down afterwards. The exit status is 1 if a link is not as
    requested. With --container, KEY=VALUE are what both directions between the two are to do.
    """
    if containers is None and len(words) > 1:
        raise UsageError("several-labs", f"{' and '.join(words)} are several", "check one topology or lab at a time")
    with ExitStack() as stack:
        screen = stack.enter_context(Screen(quiet=as_json))
        if containers:
            checks = _check_containers(containers, words, how, screen, deep=deep, budget_s=check_budget)
        else:
            checks = _lab(stack, words[0], how, screen).check(deep=deep, budget_s=check_budget, observer=screen)
        if as_json:
            click.echo(json.dumps([formatting.link_row(link_check) for link_check in checks], indent=2))
        else:
            show_checks(checks, screen)
    return 0 if all(link_check.passed for link_check in checks) else FAILED


def _check_containers(
    containers: tuple[str, str],
    words: Sequence[str],
    how: BringUp,
    screen: Screen,
    *,
    deep: bool,
    budget_s: float | None,
) -> Sequence[LinkCheck]:
    """Measure both directions between containers against what the words say."""
    link = {"between": list(containers)} | options.key_values(words)
    label = f"check --container {' '.join((*containers, *words))}"
    attached = labs.attached(containers, {label: link}, name=how.name)
    return labs.check_present(attached, deep=deep, budget_s=budget_s, observer=screen)


def show_checks(checks: Sequence[LinkCheck], screen: Screen) -> None:
    """Show what was measured of the links of a lab."""
    if not checks:
        screen.say("check", "no link is impaired: there is nothing to measure")
    elif all(link_check.skipped is not None for link_check in checks):
        for reason in formatting.reservations(checks):
            screen.say("check", reason)
    else:
        screen.show("")
        screen.show(tables.link_table(checks))


def _lab(
    stack: ExitStack,
    source: str,
    how: BringUp,
    screen: Screen,
    *,
    only: Sequence[str] = (),
    capture: Sequence[str] = (),
) -> Lab:
    """Return the lab of that name, or one brought up now and taken down when the stack is left."""
    if how.as_the_file_says and labs.find(source):
        return Lab.attach(source)
    try:
        path = topology.find(source)
    except UsageError as error:
        if found := labs.find(source):
            raise UsageError(
                "lab-is-up",
                f"lab {source} is up already, on runtime {found.name}, and there is no topology file of that name",
                f"--name, --runtime, --engine and --seed need one: leave them out to use the lab as it is, "
                f"or take it down (testbed down {source}) and name its file",
            ) from None
        error.add_note("no lab of that name is up either; testbed ps lists those that are")
        raise
    resolved = how.resolve(topology.load(path))
    running.require(resolved, only=only, capture=capture)
    screen.title(resolved)
    lab = Lab.up(resolved, observer=screen)
    if not lab.was_up:
        stack.callback(lab.down, screen)
    return lab
