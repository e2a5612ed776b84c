"""`testbed logs`: what the programs of nodes write."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import click

from testbed.cli import json_output
from testbed.errors import LabError
from testbed.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@click.command("logs")
@click.argument("name", metavar="LAB")
@click.argument("node", required=False)
@click.option("--follow", "-f", is_flag=True, help="Continue until the programs end.")
@json_output.as_json
def logs_command(name: str, node: str | None, *, follow: bool, as_json: bool) -> None:
    """Show the output of a node's own command (or image).

    Without NODE, show that of all nodes, each line after its node's name. With --json each line is an object with node
    and line.
    """
    lab = Lab.attach(name)
    names = [planned.name for planned in lab.plan.nodes]
    if node is not None and not as_json:
        for piece in lab.logs(node, follow=follow):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    if node is not None:
        names = [lab.plan.known(node).name]
    width = max(map(len, names))

    def write(node: str, line: str) -> None:
        if as_json:
            json_output.show_line({"node": node, "line": line})
        else:
            click.echo(f"{node:<{width}} | {line}")

    threads = [
        threading.Thread(target=_show, args=(each, lab.logs(each, follow=follow), write), daemon=True) for each in names
    ]
    for thread in threads:
        thread.start()
        if not follow:
            thread.join()
    for thread in threads:
        thread.join()


def _show(node: str, log: Iterator[bytes], write: Callable[[str, str], None]) -> None:
    """Write the lines of a node's log, each as a whole."""
    partial = b""
    try:
        for piece in log:
            *lines, partial = (partial + piece).split(b"\n")
            for line in lines:
                write(node, line.decode(errors="replace"))
        if partial:
            write(node, partial.decode(errors="replace"))
    except LabError as error:  # the lab was taken down meanwhile
        click.echo(f"{node}: {error}", err=True)
