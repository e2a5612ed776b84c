"""The command that draws a topology."""

from __future__ import annotations

from pathlib import Path

import click

from testbed import topology
from testbed.cli import json_output
from testbed.drawing import FORMATS, draw
from testbed.errors import UsageError
from testbed.runs.output_files import require_writable, write_whole

_SUFFIXES = {
    ".txt": "text",
    ".svg": "svg",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".json": "json",
}


@click.command("graph")
@click.argument("file", metavar="TOPOLOGY")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Format of the drawing.  [default: what the name of the --output file says, else text]",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="File to write it to."
)
@json_output.as_json
def graph_command(file: str, form: str | None, output: Path | None, *, as_json: bool) -> None:
    """Draw TOPOLOGY: its nodes and networks, and the impairments of its links.

    Nodes that have the same place in the network share a box. --json is short for --format json: an object with
    networks, nodes and links, for scripts.
    """
    from testbed import lab  # noqa: PLC0415  # most commands need none

    if as_json and form not in (None, "json"):
        raise UsageError("two-outputs", f"--json and --format {form} are both given", "leave one of them out")
    if output:
        require_writable(output.parent)
    plan = lab.resolve(topology.load(topology.find(file)))
    suffix = output.suffix if output else ""
    drawing = draw(plan, "json" if as_json else form or _SUFFIXES.get(suffix, "text"))
    if output:
        write_whole(output, drawing)
    else:
        click.echo(drawing, nl=False)
