"""`testbed logs`: what the programs of nodes write."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import click

from testbed.errors import LabError
from testbed.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command("logs")
@click.argument("name", metavar="LAB")
@click.argument("node", required=False)
@click.option("--follow", "-f", is_flag=True, help="Continue until the programs end.")
def logs_command(name: str, node: str | None, *, follow: bool) -> None:
    """Show the output of a node's own command (or image).

    Without NODE, show that of all nodes, each line after its node's name.
    """
    lab = Lab.attach(name)
    names = [planned.name for planned in lab.plan.nodes]
    if node is not None:
        for piece in lab.logs(node, follow=follow):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    width = max(map(len, names))
    threads = [
        threading.Thread(target=_show, args=(f"{each:<{width}} | ", lab.logs(each, follow=follow)), daemon=True)
        for each in names
    ]
    for thread in threads:
        thread.start()
        if not follow:
            thread.join()
    for thread in threads:
        thread.join()


def _show(prefix: str, log: Iterator[bytes]) -> None:
    """Write the lines of a log, each as a whole, with a prefix."""
    partial = b""
    try:
        for piece in log:
            *lines, partial = (partial + piece).split(b"\n")
            for line in lines:
                _write(prefix, line)
        if partial:
            _write(prefix, partial)
    except LabError as error:  # the lab was taken down meanwhile
        click.echo(f"{prefix}{error}", err=True)


def _write(prefix: str, line: bytes) -> None:
    click.echo(prefix + line.decode(errors="replace"))
