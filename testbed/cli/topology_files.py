"""Commands about topology files: list, validate, show, schema."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING

import click

from testbed import lab, topology
from testbed.cli import failures, json_output, options, plans
from testbed.errors import MachineError, UsageError

if TYPE_CHECKING:
    from testbed.cli.options import BringUp


@click.command("validate")
@click.argument("files", metavar="TOPOLOGY...", nargs=-1, required=True)
@json_output.as_json
def validate_command(files: tuple[str, ...], *, as_json: bool) -> int:
    """Check topology files and report every error with its line."""
    status = 0
    found: list[dict[str, object]] = []
    for name in files:
        try:
            path = topology.find(name)
            loaded = topology.load(path)
            remark = _resolve(loaded)
            if loaded.sweep is not None:
                from testbed.sweep import matrix  # noqa: PLC0415  # only few files need all of it

                matrix(path)
        except UsageError as error:
            found.append({"file": name, "fine": False, "error": failures.as_object(error)})
            if not as_json:
                click.echo(str(error), err=True)
            status = UsageError.exit_code
        else:
            found.append({"file": str(path), "fine": True})
            if not as_json:
                click.echo(f"{path}: fine{remark}")
    if as_json:
        json_output.show(found)
    return status


def _resolve(loaded: topology.Topology) -> str:
    """Resolve a topology, to find what only that finds; return what could not be checked."""
    try:
        lab.resolve(loaded)
    except MachineError as error:
        if not loaded.lacks_discovery:
            raise
        return f", apart from what names containers that run already, which were not looked at: {error.message}"
    return ""


@click.command("list")
@json_output.as_json
def list_command(*, as_json: bool) -> None:
    """List the topologies that have a name: those that ship, and those in topologies/ of the working directory."""
    found = {name: topology.description(path) for name, path in sorted(topology.named().items())}
    if as_json:
        json_output.show(found)
        return
    wide = max(map(len, found))
    width = shutil.get_terminal_size().columns
    for name, text in found.items():
        click.echo(textwrap.fill(text, width, initial_indent=f"{name:<{wide}}  ", subsequent_indent=" " * (wide + 2)))


@click.command("show")
@click.argument("file", metavar="TOPOLOGY")
@options.bring_up
@json_output.as_json
def show_command(file: str, how: BringUp, *, as_json: bool) -> None:
    """Show the plan that TOPOLOGY resolves to: every address, link and workload."""
    loaded = topology.load(topology.find(file))
    resolved = how.resolve(loaded)
    if as_json:
        json_output.show(resolved.to_json() | {"digest": resolved.digest})
        return
    plans.show(resolved)


@click.command("schema")
@click.option("--run", is_flag=True, help="Print the schema of run.json, the record of a run, instead.")
def schema_command(*, run: bool) -> None:
    """Print the JSON Schema of topology files."""
    if run:
        from testbed.runs.run import run_schema  # noqa: PLC0415  # the results only where they are needed

        json_output.show(run_schema())
        return
    json_output.show(topology.schema())
