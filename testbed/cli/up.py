"""`testbed up`."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from testbed import lab as labs
from testbed.cli import options
from testbed.cli.screen import Screen

if TYPE_CHECKING:
    from testbed.cli.options import BringUp


@click.command("up")
@click.argument("topology")
@options.bring_up
def up_command(topology: str, how: BringUp) -> None:
    """Bring TOPOLOGY up and leave it up: a file, or the name of one of topologies/ or of those that are shipped."""
    with labs.agent_ahead(how.runtime), Screen() as screen:
        lab = labs.Lab.up(topology, **asdict(how), observer=screen)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the lab is up: too late to be interrupted
        if lab.was_up:
            screen.say("up", f"{lab.name} is up already ({lab.runtime}); nothing changed")
    node = lab.plan.nodes[0].name
    click.echo(f"next    testbed shell {lab.name} {node}, testbed run {lab.name}, testbed down {lab.name}")
