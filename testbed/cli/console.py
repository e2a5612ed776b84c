"""The console that commands print tables on."""

from __future__ import annotations

import os

from rich.console import Console

_PLAIN_WIDTH = 120


def make_console(*, plain_width: int = _PLAIN_WIDTH, quiet: bool = False) -> Console:
    """Return a console as wide as the terminal; without one, `plain_width` wide unless COLUMNS is set."""
    console = Console(highlight=False, quiet=quiet)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = plain_width
    return console
