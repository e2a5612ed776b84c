"""Commands about labs that are up: down, ps, impair, exec, shell."""

from __future__ import annotations

import sys
from dataclasses import asdict
from itertools import product

import click

from testbed import lab as labs
from testbed.cli import json_output
from testbed.cli.screen import Screen
from testbed.errors import UsageError
from testbed.matching import ANY_NODE
from testbed.names import BUILT_IN


@click.command("down")
@click.argument("name", metavar="[LAB]", required=False)
@click.option("--all", "every", is_flag=True, help="Take down all labs, and remove what is left of broken ones.")
@json_output.as_json
def down_command(name: str | None, *, every: bool, as_json: bool) -> None:
    """Take LAB down, whatever its state. It is no error if the lab is not up."""
    if every == (name is not None):
        raise UsageError("which-lab", "say which lab to take down", "testbed down LAB, or testbed down --all")
    names = sorted({status.lab for status in labs.all_labs()}) if every else [str(name)]
    rows = []
    for lab in names:
        with Screen(quiet=as_json).while_slow("down", f"taking {lab} down"):
            removed = labs.take_down(lab)
        rows.append({"lab": lab, "was_up": removed})
        if not as_json:
            click.echo(f"down    {lab}{'' if removed else ': was not up'}")
    if as_json:
        json_output.show(rows)
    elif not names:
        click.echo("down    no lab is up")


@click.command("ps")
@json_output.as_json
def ps_command(*, as_json: bool) -> None:
    """List the labs that are up, and the remains of broken ones."""
    statuses = labs.all_labs()
    if as_json:
        json_output.show([asdict(status) for status in statuses])
        return
    if not statuses:
        click.echo("no lab is up; testbed up TOPOLOGY brings one up")
    for status in statuses:
        nodes = ", ".join(
            name if state == "running" else f"{name} ({state})" for name, state in sorted(status.nodes.items())
        )
        broken = status.changing or f"broken: {status.problem}; testbed down {status.lab}"
        verdict = "up" if status.healthy else broken
        click.echo(f"{status.lab:<20} {status.runtime:<7} {verdict:<6} {nodes}")
        for note in status.notes:
            click.echo(f"{'':<20} note: {note}")


@click.command("impair")
@click.argument("name", metavar="LAB")
@click.argument("source", metavar="FROM")
@click.argument("destination", metavar="TO")
@click.argument("changes", metavar="KEY=VALUE...", nargs=-1, required=True)
@click.option("--network", help="The link's network, if the nodes share several.")
@click.option("--match", metavar="KEY=VALUE,...", help="Only for these packets: protocol=udp,port=53 or dscp=EF.")
@json_output.as_json
def impair_command(
    name: str,
    source: str,
    destination: str,
    changes: tuple[str, ...],
    *,
    network: str | None,
    match: str | None,
    as_json: bool,
) -> None:
    """Change the impairments of the link FROM -> TO, such as delay=80ms jitter=5ms loss=10% rate=5mbit queue=100ms.

    With * for TO it is FROM's uplink, with * for FROM it is TO's downlink. The name of a group stands for each of its
    members. Keys that are not named stay as they are.
    """
    wrong = [change for change in changes if "=" not in change]
    if wrong:
        raise UsageError(
            "not-key-value", f"{wrong[0]!r} is not of the form KEY=VALUE", "write it like loss=10% or delay=80ms"
        )
    lab = labs.Lab.attach(name)
    single = {ANY_NODE, *BUILT_IN}
    ends = [*product(*((end,) if end in single else lab.plan.members(end) for end in (source, destination)))]
    rows = []
    for sender, receiver in [pair for pair in ends if len({*pair}) > 1] or ends:
        link = lab.link(sender, receiver, network, match=match)
        impairments = link.update(**dict(change.split("=", 1) for change in changes))
        rows.append({"link": link.name, "impairments": list(impairments.descriptions())})
        if not as_json:
            click.echo(f"impair  {link.name}   {impairments.describe()}")
    if as_json:
        json_output.show(rows)


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("name", metavar="LAB")
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_command(name: str, node: str, command: tuple[str, ...]) -> int:
    """Run COMMAND in a node, on this terminal: testbed exec lossy client -- ping -c3 server.

    The exit status is the command's. In a group of nodes it runs in one member after the other, and the exit status is
    the first that is not 0.
    """
    argv = command[1:] if command[0] == "--" else command
    lab = labs.Lab.attach(name)
    nodes = lab.plan.members(node)
    if len(nodes) == 1:
        return lab.interact(nodes[0], argv, tty=sys.stdin.isatty() and sys.stdout.isatty())
    statuses = []
    for member in nodes:
        click.echo(f"exec    {member}", err=True)
        statuses.append(lab.interact(member, argv, tty=False))
    return next((status for status in statuses if status), 0)


@click.command("shell")
@click.argument("name", metavar="LAB")
@click.argument("node")
def shell_command(name: str, node: str) -> int:
    """Open a shell in a node. The exit status is the shell's."""
    if not sys.stdin.isatty():
        raise UsageError("no-terminal", "a shell needs a terminal", f"testbed exec {name} {node} -- COMMAND")
    script = "command -v bash >/dev/null && exec bash || exec sh"
    return labs.Lab.attach(name).interact(node, ("sh", "-c", script), tty=True)
