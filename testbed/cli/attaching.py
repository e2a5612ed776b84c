"""`testbed attach` and `testbed detach`."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from testbed import engines, interruption
from testbed import lab as labs
from testbed.cli import json_output, options
from testbed.cli.screen import Screen
from testbed.cli.up import as_object, check
from testbed.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.check import LinkCheck
    from testbed.topology import Topology


class _WithLinks(click.Command):
    """A command whose option --link takes the words KEY=VALUE that follow it, too."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Join the words of each link to one value."""
        joined: list[str] = []
        rest = list(args)
        while rest:
            word = rest.pop(0)
            if word == "--link" and rest:
                word = f"--link={shlex.quote(rest.pop(0))}"
            if word.startswith("--link="):
                while rest and "=" in rest[0] and not rest[0].startswith("-"):
                    word += f" {shlex.quote(rest.pop(0))}"
            joined.append(word)
        return super().parse_args(context, joined)


@click.command("attach", cls=_WithLinks)
@click.argument("names", metavar="[PROJECT|CONTAINER...]", nargs=-1)
@click.option("--name", metavar="LAB", help="Name of the lab; by default that of the project or first container.")
@click.option(
    "--host",
    "hosts",
    metavar="MACHINE=ADDRESS",
    multiple=True,
    help="A machine of a Swarm: its Docker Engine's address (ssh://, tcp://) or Docker context. Once for each machine; "
    "containers are then called MACHINE/CONTAINER.",
)
@click.option(
    "--link",
    "links",
    metavar="A,B KEY=VALUE...",
    multiple=True,
    help="Impair both directions between two nodes; 'A->B' is one direction. May be given several times.",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="A topology file instead of --link. If it names neither a compose project nor a container, the project is "
    "PROJECT, or that of the container that this command runs in.",
)
@click.option("--wait", is_flag=True, help="With --file: wait for the nodes, follow restarts, and detach at the end.")
@click.option("--engine", type=click.Choice(engines.CHOICES), help="What applies the impairments.")
@click.option(
    "--namespace",
    "namespaces",
    is_flag=True,
    help="The names are network namespaces: by name, pid or path. Needs root.",
)
@options.check_budget
@click.option("--check/--no-check", "checked", default=True, help="Measure the links afterwards.  [default: check]")
@json_output.as_json
def attach_command(
    names: tuple[str, ...],
    name: str | None,
    links: tuple[str, ...],
    file: Path | None,
    engine: str | None,
    *,
    hosts: tuple[str, ...],
    namespaces: bool,
    wait: bool,
    check_budget: float | None,
    checked: bool,
    as_json: bool,
) -> int:
    """Impair links between containers that run, check them, and keep them impaired until testbed detach.

    \b
    testbed attach shop --link web,db delay=40ms loss=2%
    testbed attach a b --link 'a->b' rate=5mbit queue=100ms
    testbed attach --namespace red blue --link red,blue delay=40ms
    testbed attach --host m1=ssh://user@m1 --host m2=ssh://user@m2 m1/web m2/db --link web,db delay=40ms

    Nothing inside the containers changes. The nodes of a compose project are its services. The exit status is 1 if a
    link is not as requested; it stays as it is.
    """  # noqa: D301  # \b is click's
    if wait and file is None:
        raise UsageError("wait-without-file", "--wait is for a file", "name one by --file")
    if wait and as_json:
        raise UsageError(
            "two-outputs", "--wait ends when it is told to, so there is nothing to print", "leave --json out"
        )
    if file is None:
        topology, has_links = _topology(names, links, name, engine, hosts=hosts, namespaces=namespaces), bool(links)
    else:
        if hosts:
            raise UsageError("two-sources", "--file has the hosts, so --host can't be given", "write it into the file")
        topology, has_links = _of_file(file, names, links), True
        if wait:
            return _stay(topology, name, engine)
    checks: Sequence[LinkCheck] = ()
    checked = has_links and (checked or check_budget is not None)
    with Screen(quiet=as_json) as screen, interruption.deferred():
        lab = labs.Lab.up(topology, name=name, engine=engine, observer=screen)
        if lab.was_up:
            screen.say("up", f"{lab.name} is attached already; nothing changed")
        if checked:
            checks = check(lab, screen, budget_s=check_budget)
        interruption.ignore()  # the lab is up: too late to be interrupted
    if as_json:
        json_output.show(as_object(lab, checks))
    else:
        click.echo(
            f"next    testbed check {lab.name}, testbed impair {lab.name} FROM TO delay=80ms, testbed detach {lab.name}"
        )
    return 0 if all(each.passed for each in checks) else 1


def _topology(
    names: tuple[str, ...],
    links: tuple[str, ...],
    name: str | None,
    engine: str | None,
    *,
    hosts: tuple[str, ...],
    namespaces: bool,
) -> Topology:
    for word in names:
        if "=" in word:
            raise UsageError("not-a-container", f"{word!r} is given where containers are named", _LINK_FORM)
    requested = {f"--link {text}": _link(text) for text in links}
    if len(requested) < len(links):
        raise UsageError("duplicate-link", "a --link is given twice", "leave one of them out")
    machines = options.key_values(hosts, "east=ssh://user@east.example")
    return labs.attached(names, requested, hosts=machines, namespaces=namespaces, name=name, engine=engine)


def _of_file(file: Path, names: tuple[str, ...], links: tuple[str, ...]) -> Topology:
    from testbed.lab import sidecar  # noqa: PLC0415  # few commands need it

    if links:
        raise UsageError(
            "two-sources", "--file has the links, so --link can't be given", "write the link into the file"
        )
    if len(names) > 1:
        raise UsageError("several-projects", f"--file is for one project, not {' and '.join(names)}", "name one")
    return sidecar.attachable(file, next(iter(names), None))


class _Stopped(BaseException):
    """A signal asked the command to end."""


def _stay(topology: Topology, name: str | None, engine: str | None) -> int:
    """Attach as soon as all is there, report what happens, and detach when a signal asks the command to end."""
    from testbed.lab import sidecar  # noqa: PLC0415  # few commands need it

    def stop(_number: int, _frame: object) -> None:
        raise _Stopped

    for number in interruption.SIGNALS:
        signal.signal(number, stop)
    lab_name = name or topology.name
    try:
        with interruption.deferred(), Screen() as screen:
            lab, connection = sidecar.attach_when_there(topology, lab_name, engine, screen, click.echo)
            try:
                with interruption.delivered():
                    click.echo(f"attach   {', '.join(lab)}: {len(lab.plan.links)} links are impaired")
                    sidecar.follow(lab, click.echo)
            finally:
                labs.take_down(lab_name)
                connection.close()
                click.echo(f"detach   {lab_name}")
    except _Stopped:
        return 0
    return 0


@click.command("detach")
@click.argument("name", metavar="LAB")
@json_output.as_json
def detach_command(name: str, *, as_json: bool) -> None:
    """Take LAB down, and restore its links: the attached containers and namespaces go on."""
    removed = labs.take_down(name)
    if as_json:
        json_output.show([{"lab": name, "was_up": removed}])
    else:
        click.echo(f"detach  {name}{'' if removed else ': was not up'}")


_LINK_FORM = "write --link A,B KEY=VALUE, without a space between the ends, or --link 'A->B' KEY=VALUE"


def _link(text: str) -> dict[str, object]:
    """Return what the words of a --link say, as an entry of `links` in a file."""
    first, *words = shlex.split(text)
    link: dict[str, object] = {}
    if "=" in first:  # from=A to=B
        words = [first, *words]
    elif "->" in first:
        link["from"], _, link["to"] = (part.strip() for part in first.partition("->"))
    elif "," not in first:
        raise UsageError("bad-link", f"--link {first!r} has one end", _LINK_FORM)
    else:
        link["between"] = [part.strip() for part in first.split(",")]
    return link | options.key_values(words)
