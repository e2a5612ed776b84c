"""Errors that end a command, on standard error: as text, or with --json as one JSON object."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.errors import TestbedError


def show(error: TestbedError) -> None:
    """Show an error that users can act on."""
    if wants_json(sys.argv[1:]):
        _show_json(as_object(error), error.exit_code)
    else:
        click.echo(str(error), err=True)
        show_notes(error)


def show_usage(error: click.ClickException) -> None:
    """Show what is wrong with the command line itself."""
    if wants_json(sys.argv[1:]):
        _show_json({"code": "command-line", "message": error.format_message(), "hint": None}, error.exit_code)
    else:
        error.show()


def show_interruption(error: BaseException, status: int) -> None:
    """Show that Ctrl-C ended the command, and the notes that the interruption carries."""
    cause = error.__cause__ or error.__context__ or error
    if wants_json(sys.argv[1:]):
        notes = [*getattr(cause, "__notes__", ())]
        _show_json({"code": "interrupted", "message": "interrupted", "hint": None, "notes": notes}, status)
    else:
        click.echo("interrupted", err=True)
        show_notes(cause)


def show_notes(error: BaseException) -> None:
    """Show the notes that an error carries."""
    for note in getattr(error, "__notes__", ()):
        click.echo(f"  note: {note}", err=True)


def wants_json(words: Sequence[str]) -> bool:
    """Whether --json is among the words of a command line; those after -- and those of `exec` are another program's."""
    own = words[: words.index("--")] if "--" in words else words
    return "--json" in own and own[0] != "exec"


def as_object(error: TestbedError) -> dict[str, Any]:
    """Return an error as a JSON object; one of a topology file has all `problems`, each with its line."""
    found: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if error.place:
        found["place"] = error.place
    if problems := getattr(error, "problems", ()):
        from dataclasses import asdict  # noqa: PLC0415  # only for files with errors

        found["problems"] = [asdict(problem) for problem in problems]
    if notes := getattr(error, "__notes__", ()):
        found["notes"] = [*notes]
    return found


def _show_json(error: dict[str, Any], status: int) -> None:
    import json  # noqa: PLC0415  # only here

    click.echo(json.dumps({"error": error, "exit_status": status}, indent=2), err=True)
