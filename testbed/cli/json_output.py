"""What commands print with --json: one document, or, where output goes on, one object per line. Scripts read it.

`failures` prints the errors of a command that has --json.
"""

from __future__ import annotations

import json

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
"""The option. A command with it prints nothing else on standard output, by `show` or `show_line`."""


def show(value: object) -> None:
    """Print what a command found or did, as one JSON document."""
    click.echo(json.dumps(value, indent=2, default=str))


def show_line(value: object) -> None:
    """Print one of many values as a line of JSON, at once, for a reader that follows."""
    click.echo(json.dumps(value, default=str))
