"""`testbed up`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from testbed import interruption
from testbed import lab as labs
from testbed.cli import json_output, options
from testbed.cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.check import LinkCheck
    from testbed.cli.options import BringUp


@click.command("up")
@click.argument("topology")
@options.bring_up
@options.check_budget
@click.option("--check/--no-check", "checked", help="Measure the links when the lab is up.  [default: no-check]")
@json_output.as_json
def up_command(topology: str, how: BringUp, *, checked: bool, check_budget: float | None, as_json: bool) -> int:
    """Bring TOPOLOGY up and leave it up: a file, or the name of a topology that ships or is in topologies/.

    With --check or --check-budget, measure its links; the exit status is 1 if one is not as requested. The lab stays up
    in any case.
    """
    checks: Sequence[LinkCheck] = ()
    checked = checked or check_budget is not None
    with labs.agent_ahead(how.runtime), Screen(quiet=as_json) as screen, interruption.deferred():
        lab = labs.Lab.up(topology, **asdict(how), observer=screen)
        if lab.was_up:
            screen.say("up", f"{lab.name} is up already ({lab.runtime}); nothing changed")
        if checked:
            checks = check(lab, screen, budget_s=check_budget)
        interruption.ignore()  # the lab is up: too late to be interrupted
    if as_json:
        json_output.show(as_object(lab, checks))
    else:
        node = lab.plan.nodes[0].name
        click.echo(f"next    testbed shell {lab.name} {node}, testbed run {lab.name}, testbed down {lab.name}")
    return 0 if all(link_check.passed for link_check in checks) else 1


def check(lab: labs.Lab, screen: Screen, *, budget_s: float | None) -> Sequence[LinkCheck]:
    """Measure and show the links of a lab that stays up, also if a signal interrupts this."""
    from testbed.cli.runs import show_checks  # noqa: PLC0415 (it imports more than a lab takes to come up)

    try:
        with interruption.delivered():
            checks = lab.check(budget_s=budget_s, observer=screen)
    except BaseException as error:
        error.add_note(f"lab {lab.name} stays up: testbed down {lab.name} takes it down")
        raise
    show_checks(checks, screen)
    return checks


def as_object(lab: labs.Lab, checks: Sequence[LinkCheck]) -> dict[str, object]:
    """Return a lab that came up, or was up, and what was measured of its links, for --json."""
    from testbed.analysis import formatting  # noqa: PLC0415 (it imports more than a lab takes to come up)

    return {
        "lab": lab.name,
        "runtime": lab.runtime,
        "was_up": lab.was_up,
        "nodes": {name: dict(lab.node(name).addresses) for name in lab},
        "checks": [*map(formatting.link_row, checks)],
    }
