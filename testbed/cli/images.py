"""`testbed images`: build the images of nodes, of agents and of the servers that topologies use."""

from __future__ import annotations

import click

from testbed.lab import machine


@click.command("images")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def images_command(*, names: tuple[str, ...]) -> None:
    """Build the testbed's images, or only those of these names.

    They are testbed (nodes and agents), controller (the command line as a container), and the servers that topologies
    use, for example nginx. It takes about two minutes the first time, and a second when nothing changed.
    """
    machine.build_images(names)
