"""The command that makes a topology of another tool's file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from testbed.cli import json_output
from testbed.importing import imported
from testbed.runs.output_files import require_writable, write_whole


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Topology file to write; its paths are relative to it.  [default: standard output]",
)
@json_output.as_json
def import_command(file: Path, output: Path | None, *, as_json: bool) -> None:
    """Make a topology of FILE, a compose file or a containerlab file (.clab.yml).

    What has no counterpart is listed on standard error, and in comments in the topology. Paths in a topology on
    standard output are relative to the working directory.
    """
    if output:
        require_writable(output.parent)
    result = imported(file, output.parent if output else Path())
    if output:
        write_whole(output, result.text)
    if as_json:
        notes = [asdict(note) for note in result.notes]
        json_output.show({"topology": result.text, "written": None if output is None else str(output), "notes": notes})
        return
    for note in result.notes:
        click.echo(str(note), err=True)
    if output:
        click.echo(f"{output}: written; testbed up {output} brings it up", err=True)
    else:
        click.echo(result.text, nl=False)
