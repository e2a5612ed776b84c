"""`testbed images`: build the images of nodes, of agents and of the servers that topologies use."""

from __future__ import annotations

from dataclasses import asdict

import click

from testbed.cli import json_output
from testbed.lab import machine


@click.command("images")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_output.as_json
def images_command(*, names: tuple[str, ...], as_json: bool) -> None:
    """Build the testbed's images, or only those named.

    They are testbed (nodes and agents), controller (the command line as a container), and the servers that topologies
    use, for example nginx. It takes about two minutes the first time, and a second when nothing changed.
    """
    built = machine.build_images(names, to_stderr=as_json)
    if as_json:
        json_output.show([*map(asdict, built)])
