"""`testbed fault` and `testbed play`: faults of nodes while a lab is up."""

from __future__ import annotations

from typing import Final

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

    FAULT is pause, unpause, stop, kill, start, restart, cpus=0.1 or clock=30s, which is ahead (-30s is behind);
    kill=SIGTERM sends the node's program that signal. dns=api is a name that does not exist, disk=/data a disk that is
    full. Write longer values as in a file: "dns={name: api, slow: 2s}", "disk={path: /data, rate: 80mbit}".
    The name of a group stands for each of its members. Without --for, a fault lasts until another one ends it, or the
    lab goes down. With --for, Ctrl-C ends the fault early.
    """
    kind, equals, text = fault.partition("=")
    value: object = _mapping(text) if text.startswith("{") else text
    from testbed.topology.node_events import NODE_EVENTS, LastingEvent, SettingEvent  # noqa: PLC0415  # takes its time

    event = NODE_EVENTS.get(kind, LastingEvent)
    if issubclass(event, SettingEvent):
        if not equals:
            raise UsageError("missing-value", f"{kind} lacks a value", f"write it like {_EXAMPLES[kind]}")
        lasts = lasting
    else:
        lasts = None
        if equals and lasting:
            raise UsageError("two-values", f"{fault!r} has a value, and --for is one", "leave one of them out")
        if lasting and not issubclass(event, LastingEvent):
            raise UsageError("not-lasting", f"{kind} does not end by itself", "leave --for out, and end it by another")
        value = lasting or (value if equals else True)
    lab = Lab.attach(name)
    happened = lab.bring_about(node, kind, value, lasts)
    if as_json:
        json_output.show([*happened])
        return
    for what in happened:
        click.echo(f"fault   {what}")


_EXAMPLES: Final = {"cpus": "cpus=0.1", "clock": "clock=30s", "dns": "dns=api", "disk": "disk=/data"}


def _mapping(text: str) -> object:
    """Read a value that is written as a mapping of YAML in one line.

    Raises:
        UsageError: `bad-value`.
    """
    import yaml  # noqa: PLC0415  # only for these values

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        said = str(error).splitlines()[0]
        raise UsageError("bad-value", f"{text!r} is not YAML: {said}", "write it like {name: api, slow: 2s}") from None


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
