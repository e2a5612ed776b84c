"""`testbed init`: a first topology file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from testbed.cli import json_output
from testbed.importing import starter

if TYPE_CHECKING:
    from pathlib import Path


@click.command("init")
@click.argument("place", metavar="[DIRECTORY|NAME]", default="")
@json_output.as_json
def init_command(place: str, *, as_json: bool) -> None:
    """Write a first topology, with comments: NAME.yml, or network.yml in DIRECTORY.

    In a directory with a compose file, the nodes are its services; in a Python project, a test for pytest is written
    too. Files that exist stay as they are.
    """
    written = starter.write(place)
    if as_json:
        json_output.show({"written": [*map(str, written)]})
        return
    for path in written:
        click.echo(f"init    {path}")
    click.echo(f"next    testbed run {_word(written[0])}")


def _word(path: Path) -> str:
    """Return a file as a command takes it."""
    return str(path) if path.is_absolute() else f"./{path}"
