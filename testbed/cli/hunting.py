"""`testbed hunt`: find the fewest faults that break what runs in a topology."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from testbed import topology, units
from testbed.cli import json_output, options
from testbed.errors import UsageError
from testbed.hunt import FailureRule, Hunt, HuntObserver
from testbed.runs.output_files import require_writable
from testbed.topology.yaml_text import dumped

if TYPE_CHECKING:
    from testbed.cli.options import BringUp
    from testbed.hunt import HuntOutcome
    from testbed.hunt.trials import HuntTrial

FAILED = 1
_NS = 1e9


class _Lines(HuntObserver):
    """Writes a line for each seed, and for each smaller set of faults."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def _say(self, what: str, text: str) -> None:
        if not self._quiet:
            click.echo(f"{what:<7} {text}")

    def drew(self, seed: int, faults: int, number: int, total: int) -> None:
        """See `HuntObserver`."""
        self._say("seed", f"{seed}: {faults} faults ({number} of {total})")

    def tried(self, seed: int, trial: HuntTrial) -> None:  # noqa: ARG002  # the line before says it
        """See `HuntObserver`."""
        if trial.failed:
            self._say("", f"failed: {trial.why}")

    def shrinking(self, faults: int, runs: int) -> None:
        """See `HuntObserver`."""
        self._say("shrink", f"trying {faults} fault{'s' * (faults != 1)}, after {runs} run{'s' * (runs != 1)}")


def _limit(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else units.DURATION.parse(value) / _NS
    except ValueError as error:
        raise UsageError("bad-duration", f"--for {value}: {error}", "write it like 10min or 90s") from None


def _rule(_context: click.Context, _option: click.Parameter, value: str) -> FailureRule:
    least, _, most = value.partition("/")
    if not (least.isdecimal() and most.isdecimal() and 1 <= int(least) <= int(most)):
        raise UsageError("bad-rule", f"--fails {value} is not of the form K/N", "write it like 2/3: in 2 of 3 runs")
    return FailureRule(least=int(least), most=int(most))


@click.command("hunt")
@click.argument("source", metavar="TOPOLOGY")
@click.option("--runs", metavar="N", type=click.IntRange(1), default=20, show_default=True, help="Seeds to try.")
@click.option("--for", "limit_s", metavar="TIME", callback=_limit, help="Stop after this time, such as 10min.")
@click.option(
    "--fails",
    "rule",
    metavar="K/N",
    default="2/3",
    show_default=True,
    callback=_rule,
    help="Faults count as failing if K of N runs with them fail.",
)
@click.option("--command", metavar="COMMAND", help="Program to run here instead of workloads; TESTBED_LAB is the lab.")
@options.bring_up
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write.  [default: NAME-hunted.yml]")
@click.option(
    "--results", type=click.Path(path_type=Path), default="results", show_default=True, help="Directory for the runs."
)
@json_output.as_json
def hunt_command(
    source: str,
    *,
    runs: int,
    limit_s: float | None,
    rule: FailureRule,
    command: str | None,
    how: BringUp,
    output: Path | None,
    results: Path,
    as_json: bool,
) -> int:
    """Run TOPOLOGY with faults that its chaos draws from one seed after the other, until an expectation fails.

    Then leave out faults, and make others shorter and milder, as long as the expectation still fails. The result is a
    topology with the remaining faults as its timeline, and an export of a failed run to replay. The same command
    continues a hunt that was interrupted. The exit status is 1 if faults were found, and 0 if no seed failed.
    """
    require_writable(results)
    path = topology.find(source)
    hunt = Hunt(
        file=path,
        root=results,
        runs=runs,
        first_seed=1 if how.seed is None else how.seed,
        limit_s=limit_s,
        rule=rule,
        command=tuple(shlex.split(command or "")),
        lab=how.name,
        runtime=how.runtime,
        engine=how.engine,
        output=output or Path(f"{path.stem}-hunted.yml"),
        observer=_Lines(quiet=as_json),
    )
    outcome = hunt.carry_out()
    if as_json:
        json_output.show(asdict(outcome))
    else:
        _show(outcome)
    return FAILED if outcome.found else 0


def _show(outcome: HuntOutcome) -> None:
    for seed in outcome.unconfirmed:
        click.echo(f"note    seed {seed} failed once, and then not often enough to say that its faults are the reason")
    found = outcome.found
    if found is None:
        click.echo(f"hunt    none of {outcome.seeds} seeds failed, in {outcome.runs} runs")
        return
    left = len(found.entries)
    click.echo(f"\nhunt    seed {found.seed}: of {found.drawn} faults, {left} {'is' if left == 1 else 'are'} enough")
    for entry in found.entries:
        click.echo(f"        {_line(entry)}")
    click.echo(f"fails   {found.failed} of {found.runs} runs with {'it' if left == 1 else 'them'}: {found.why}")
    click.echo(f"file    {found.file}")
    if found.export:
        click.echo(f"export  {found.export}: testbed replay {found.export}")


def _line(entry: dict[str, Any]) -> str:
    return " ".join(dumped(entry, flow=True))
