"""`testbed fault` and `testbed play`: faults of nodes while a lab is up."""

from __future__ import annotations

import click

from testbed import codec
from testbed.cli import json_output
from testbed.cli.screen import Screen
from testbed.errors import UsageError
from testbed.lab import Lab


@click.command("fault")
@click.argument("name", metavar="LAB")
@click.argument("node", metavar="NODE")
@click.argument("fault", metavar="FAULT[=VALUE]")
@click.option("--for", "lasting", metavar="DURATION", help="End the fault after this time, and wait for that: 3s.")
@json_output.as_json
def fault_command(name: str, node: str, fault: str, *, lasting: str | None, as_json: bool) -> None:
    """Bring about a fault of a node, as the timeline of a topology file does.

    FAULT is pause, unpause, stop, kill, start, restart, cpus=0.1 or clock=30s, which is ahead (-30s: behind);
    kill=SIGTERM sends the node's program that signal.
    The name of a group stands for each of its members. Without --for, a fault lasts until another one ends it, or the
    lab goes down. With --for, Ctrl-C ends the fault early.
    """
    kind, equals, value = fault.partition("=")
    if equals and lasting:
        raise UsageError("two-values", f"{fault!r} has a value, and --for is one", "leave one of them out")
    if lasting:
        from testbed.topology.node_events import NODE_EVENTS, LastingEvent  # noqa: PLC0415  # only with the option

        if not issubclass(NODE_EVENTS.get(kind, LastingEvent), LastingEvent):
            raise UsageError("not-lasting", f"{kind} does not end by itself", "leave --for out, and end it by another")
    lab = Lab.attach(name)
    happened = lab.bring_about(node, kind, (lasting or value) if lasting or equals else True)
    if as_json:
        json_output.show([*happened])
        return
    for what in happened:
        click.echo(f"fault   {what}")


@click.command("play")
@click.argument("name", metavar="LAB")
@click.argument("file", metavar="TOPOLOGY")
@json_output.as_json
def play_command(name: str, file: str, *, as_json: bool) -> None:
    """Carry out the timeline of a topology file on a lab that is up, from now on and without the file's workloads.

    At its end, and on Ctrl-C, links are as before and all nodes run. --json prints what happened when, as in run.json.
    """
    lab = Lab.attach(name)
    with Screen(quiet=as_json) as screen:
        records = lab.play(file, observer=screen)
    if as_json:
        json_output.show(codec.encode(records))
