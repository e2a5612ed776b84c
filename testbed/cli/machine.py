"""`testbed doctor`: what this machine can do."""

from __future__ import annotations

from dataclasses import asdict

import click

from testbed.cli import json_output
from testbed.errors import MachineError
from testbed.lab import machine


@click.command("doctor")
@json_output.as_json
def doctor_command(*, as_json: bool) -> int:
    """Report what this machine can do, and what to install or enable for the rest.

    The exit status is 3 if no lab can be brought up at all.
    """
    findings = machine.examine()
    if as_json:
        json_output.show([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = click.style("ok", fg="green") if finding.fine else click.style("--", fg="yellow")
            click.echo(f"{mark}  {finding.what:<20} {finding.found}")
            if finding.hint and not finding.fine:
                click.echo(f"    {'':<20} hint: {finding.hint}")
    runtimes = [finding.fine for finding in findings if finding.what.startswith("runtime")]
    return 0 if any(runtimes) else MachineError.exit_code
