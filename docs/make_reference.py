"""Writes the reference pages that are made from the code: python docs/make_reference.py.

`tests/unit/test_documentation.py` requires that they are as this makes them.
"""
# ruff: noqa: INP001  # a script, not a package

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from testbed import topology
from testbed.cli import COMMANDS, cli
from testbed.kinds import OWN
from testbed.metrics import metrics_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
TOPOLOGIES = HERE.parent / "topologies"
WIDTH = 100


def commands() -> Iterator[str]:
    """Yield the page of all commands: what `--help` of each prints."""
    yield "# Commands\n"
    yield "Every command has `--help`, which prints what is here, and `-v` and `--debug`, which log what it does.\n"
    yield "With `--json`, where a command has it, what it prints is JSON for scripts, and an error is an object on"
    yield "standard error: `error` has `code`, `message`, `hint`, and all `problems` of a file, beside `exit_status`.\n"
    context = click.Context(cli, info_name="testbed")
    for name, (_, text) in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None  # noqa: S101  # it is listed
        names = f"testbed {name}"
        own = click.Context(command, info_name=names, terminal_width=WIDTH, max_content_width=WIDTH)
        yield f"## {names}\n\n{text}\n\n```text\n{command.get_help(own)}\n```\n"


def metrics() -> Iterator[str]:
    """Yield the page of all metrics by kind of workload."""
    yield "# Metrics\n"
    yield "`expect:`, `compare`, `sweep` and Python name metrics so; `testbed metrics KIND` lists those of a kind.\n"
    for kind in OWN:
        rows = (f"| `{metric.label}` | {metric.unit} | {metric.description} |" for metric in metrics_of(kind).values())
        yield "\n".join([f"## {kind}\n", "| metric | unit | what it is |", "|---|---|---|", *rows, ""])


def topologies() -> Iterator[str]:
    """Yield the page of the topologies that ship."""
    yield "# The topologies that ship\n"
    yield "`testbed list` lists them, `testbed run NAME` runs one; the comment at its top says what to look for.\n"
    lines = [
        f"| [`{path.stem}`](../../topologies/{path.name}) | {topology.description(path)} |"
        for path in sorted(TOPOLOGIES.glob("*.yml"))
    ]
    yield "\n".join(["| name | what it is |", "|---|---|", *lines, ""])


PAGES = {"commands.md": commands, "metrics.md": metrics, "topologies.md": topologies}

if __name__ == "__main__":
    for name, made in PAGES.items():
        (HERE / "reference" / name).write_text("\n".join(made()), "utf-8")
