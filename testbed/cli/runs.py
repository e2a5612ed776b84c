"""Commands that measure: run, check."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import click

from testbed import interruption, report, topology
from testbed import lab as labs
from testbed.analysis import formatting, samples
from testbed.cli import json_output, options, tables
from testbed.cli.repetitions import RepeatScreen
from testbed.cli.screen import Screen
from testbed.errors import UsageError
from testbed.lab import Lab, running
from testbed.lab.judging import judge
from testbed.report.junit import junit_report
from testbed.runs.machine_clocks import remark
from testbed.runs.output_files import require_writable
from testbed.workloads.group_summaries import by_kind, extremes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

    from testbed.check import LinkCheck, NatCheck
    from testbed.cli.options import BringUp
    from testbed.lab.measuring import RunOptions
    from testbed.runs import Run
    from testbed.workloads.summary import Summary

FAILED = 1
_MOST_ROWS = 60


@click.command("run")
@click.argument("source", metavar="TOPOLOGY|LAB")
@options.bring_up
@options.check_budget
@click.option(
    "--check/--no-check", "checked", default=True, help="Measure the links before the workloads.  [default: check]"
)
@click.option(
    "--repeat",
    metavar="N",
    type=click.IntRange(1, 1000),
    help="Make N runs, one after the other, and show the means with their intervals.",
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
@json_output.as_json
def run_command(
    source: str,
    how: BringUp,
    *,
    checked: bool,
    check_budget: float | None,
    repeat: int | None,
    only: tuple[str, ...],
    capture: tuple[str, ...],
    results: Path,
    junit: IO[bytes] | None,
    as_json: bool,
) -> int:
    """Check the links of a lab, run its workloads and keep the result.

    A lab that is not up is brought up first and taken down afterwards. The exit status is 1 if a link is not as
    requested or an expectation is not met, in any run if there are several. Runs that are complete stay when later ones
    fail or are interrupted.
    """
    require_writable(results)
    with interruption.deferred(), ExitStack() as stack, interruption.delivered():
        repeated = RepeatScreen(repeat, quiet=as_json) if repeat else None
        screen = stack.enter_context(repeated or Screen(quiet=as_json))
        lab = _lab(stack, source, how, screen, only=only, capture=capture)
        options: RunOptions = {"only": only, "capture": capture, "check": checked, "check_budget_s": check_budget}
        if repeated is None:
            run = lab.run(results, observer=screen, **options)
            if as_json:
                json_output.show(run.to_json() | {"path": str(run.path)})
            show(run, screen)
            runs: tuple[Run, ...] = (run,)
        else:
            with repeated.concluded(as_json=as_json):
                lab.repeat(repeated.times, results, observer=repeated, **options)
            runs = repeated.kept.runs
        if junit is not None:
            junit.write(junit_report(*runs))
    return 0 if all(run.as_expected for run in runs) else FAILED


def show(run: Run, screen: Screen) -> None:
    """Print the results of a run and write its report."""
    recorded = samples.read_all(run)
    if run.checks:
        show_checks(run.checks, screen)
    show_nats(run.nats, screen)
    if run.summaries:
        screen.show("")
        screen.show(tables.workload_table([*_rows(run)], recorded, run.sums))
    if run.outcomes:
        screen.show("")
        screen.show(tables.outcome_table(run.outcomes))
    screen.show("")
    _show_remarks(run, screen)
    screen.say("verdict", formatting.run_verdict(run))
    for reason in run.why_not_trusted:
        screen.say("trust", f"not trusted: {reason}")
    screen.say("result", str(run.path))
    with screen.while_slow("report", "writing it"):
        path = report.write(run, recorded)
    screen.say("report", str(path))


def _show_remarks(run: Run, screen: Screen) -> None:
    """Print what is noteworthy about a run beside its figures."""
    for summary in run.summaries:
        if said := formatting.error_remark(summary):
            screen.say("errors", f"{summary.workload}: {said}")
    for start in run.starts:
        if start.remark:
            screen.say("start", start.remark)
    if clocks := remark(run.clocks):
        screen.say("clocks", clocks)
    if left_out := len(run.plan.expectations) - len(run.outcomes):
        screen.say("expect", f"{left_out} not evaluated: not all of their workloads were run")


def _rows(run: Run) -> Iterator[Summary]:
    """Yield the summaries to show: of a group of nodes the least, the median and the greatest values of its members.

    Of very many workloads, it is the same for each kind.
    """
    summaries = {summary.workload: summary for summary in run.summaries}
    groups = {summary.workload: summary for summary in run.groups}
    shown = dict.fromkeys(each.group if each.group in groups else each.name for each in run.plan.workloads)
    if len(shown) > _MOST_ROWS:
        for kind in by_kind(run.plan.workloads, run.summaries):
            yield from extremes(kind)
        return
    for name in shown:
        if name in groups:
            yield from extremes(groups[name])
        elif name in summaries:
            yield summaries[name]


@click.command("check")
@click.argument("words", metavar="TOPOLOGY|LAB", nargs=-1, required=True)
@options.bring_up
@options.check_budget
@click.option("--deep", is_flag=True, help="Measure more, such as the depth of queues; takes longer.")
@click.option(
    "--container", "present", flag_value="docker", help="Measure between two containers: A B KEY=VALUE..., or 'A->B'."
)
@click.option(
    "--namespace", "present", flag_value="netns", help="The same between network namespaces, by name, pid or path."
)
@click.option("--subnet", metavar="CIDR", help="Subnet of the path to measure, if the two nodes share several.")
@json_output.as_json
def check_command(
    words: tuple[str, ...],
    how: BringUp,
    *,
    check_budget: float | None,
    deep: bool,
    present: str | None,
    subnet: str | None,
    as_json: bool,
) -> int:
    """Measure every impaired link of a lab and compare it with its settings, from the file or from testbed impair.

    The NATs of routers are measured too. A lab that is not up is brought up first and taken down afterwards. The
    exit status is 1 if a link or a NAT is not as requested.

    \b
    testbed check --container web db delay=40ms loss=1%
    testbed check --namespace 'red->blue' rate=10mbit

    These judge what another tool has set (tc, Pumba), in both directions or in one; they change nothing.
    """  # noqa: D301  # \b is click's
    with interruption.deferred(), ExitStack() as stack, interruption.delivered():
        screen = stack.enter_context(Screen(quiet=as_json))
        nats: tuple[NatCheck, ...] = ()
        if present:
            path = _path(words, how, subnet)
            checks = judge(path.ends, path.requested, runtime=present, both=path.both, subnet=path.subnet,
                           deep=deep, budget_s=check_budget, observer=screen)  # fmt: skip
        else:
            if len(words) > 1 or subnet:
                hint = "testbed check TOPOLOGY, or --container A B KEY=VALUE..."
                raise UsageError("which-check", f"{words[-1]!r} is for --container and --namespace only", hint)
            lab = _lab(stack, words[0], how, screen)
            checks = lab.check(deep=deep, budget_s=check_budget, observer=screen)
            nats = lab.check_nats(deep=deep, budget_s=check_budget, observer=screen)
        if as_json:
            rows = [*map(formatting.link_row, checks), *map(formatting.nat_row, nats)]
            json_output.show(rows)
        else:
            if checks or not nats:
                show_checks(checks, screen)
            show_nats(nats, screen)
    is_right = all(link_check.passed for link_check in checks) and all(nat_check.passed for nat_check in nats)
    return 0 if is_right else FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Path:
    """What the words after --container or --namespace say."""

    ends: tuple[str, str]
    both: bool
    requested: dict[str, str]
    subnet: IPv4Network | None


def _path(words: Sequence[str], how: BringUp, subnet: str | None) -> _Path:
    """Return the path to measure: `A B KEY=VALUE...` are both directions, `'A->B' KEY=VALUE...` is one.

    Raises:
        UsageError: the words are something else.
    """
    if not how.as_the_file_says:
        hint = "leave out --name, --runtime, --engine and --seed"
        raise UsageError("nothing-to-bring-up", "what runs already is measured as it is", hint)
    names = [word for word in words if "=" not in word]
    both = len(names) == 2  # noqa: PLR2004
    ends = names if both else [end.strip() for end in names[0].split("->")] if len(names) == 1 else []
    if len(ends) != 2 or not all(ends):  # noqa: PLR2004
        message = f"a path has two ends, these are: {', '.join(names) or 'none'}"
        raise UsageError("which-path", message, "write A B KEY=VALUE... for both directions, or 'A->B' for one")
    requested = dict(word.split("=", 1) for word in words if "=" in word)
    if len(requested) + len(names) < len(words):
        raise UsageError("duplicate-key", "a key is given twice", "leave one of them out")
    try:
        within = IPv4Network(subnet) if subnet else None
    except ValueError as error:
        raise UsageError("bad-subnet", f"--subnet {subnet}: {error}", "write it like 198.18.1.0/24") from None
    return _Path(ends=(ends[0], ends[1]), both=both, requested=requested, subnet=within)


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


def show_nats(checks: Sequence[NatCheck], screen: Screen) -> None:
    """Show what was found of the NATs of a lab."""
    for nat_check in checks:
        screen.say("nat", formatting.nat_line(nat_check))


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
    with interruption.deferred():
        lab = Lab.up(resolved, observer=screen)
        if not lab.was_up:
            stack.callback(_take_down, lab, screen)
    return lab


def _take_down(lab: Lab, screen: Screen) -> None:
    with screen.while_slow("down", f"taking {lab.name} down"):
        lab.down(screen)
