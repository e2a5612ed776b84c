"""Writes the reference pages that are made from the code: python docs/make_reference.py.

`tests/unit/test_documentation.py` requires that they are as this makes them.
"""
# ruff: noqa: INP001  # a script, not a package

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from testbed import __version__, topology
from testbed.cli import COMMANDS, cli
from testbed.kinds import OWN
from testbed.metrics import metrics_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
TOPOLOGIES = HERE.parent / "topologies"
WIDTH = 100
MANUAL_WIDTH = 78


def commands() -> Iterator[str]:
    """Yield the page of all commands: what `--help` of each prints."""
    yield "# Commands\n"
    yield "Every command has `--help`, which prints the text below, and `-v` and `--debug`, which log what it does.\n"
    yield "`--json`, where a command has it, prints JSON for scripts, and errors as JSON too:"
    yield "[Use it from scripts](../how-to/use-from-scripts.md) lists what each command prints.\n"
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


def manual() -> Iterator[str]:
    """Yield the manual page testbed(1), in the macros of man(7): what `--help` of each command prints."""
    context = click.Context(cli, info_name="testbed", terminal_width=MANUAL_WIDTH, max_content_width=MANUAL_WIDTH)
    yield f'.TH TESTBED 1 "" "testbed {__version__}" "User Commands"'
    yield ".SH NAME\ntestbed \\- impaired networks of containers and network namespaces, from one YAML file"
    yield f".SH DESCRIPTION\n{_as_written(cli.get_help(context))}"
    yield ".SH COMMANDS"
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None  # noqa: S101  # it is listed
        own = click.Context(command, info_name=f"testbed {name}", terminal_width=MANUAL_WIDTH)
        yield f".SS testbed {name}\n{_as_written(command.get_help(own))}"
    yield ".SH SEE ALSO\n.BR tc-netem (8),\n.BR ip-netns (8),\n.BR docker (1)\n"


def _as_written(text: str) -> str:
    """Return a text for troff that keeps its lines."""
    lines = (line.replace("\\", "\\e").replace("-", "\\-") for line in text.splitlines())
    return "\n".join([".nf", *(f"\\&{line}" if line[:1] in (".", "'") else line for line in lines), ".fi"])


PAGES = {"commands.md": commands, "metrics.md": metrics, "topologies.md": topologies, "testbed.1": manual}

if __name__ == "__main__":
    for name, made in PAGES.items():
        (HERE / "reference" / name).write_text("\n".join(made()), "utf-8")
