"""Names of labs and of what is in them, which become names of files, containers and hosts."""

from __future__ import annotations

import re

from testbed.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""What the Docker Engine takes as a container's name; a path it can't be."""


def checked(name: str) -> str:
    """The name, which may come from the command line, or in a plan from a stranger.

    Raises:
        UsageError: `bad-name`: it is none.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise UsageError(
            "bad-name", f"{name!r} can't be a name", "letters, digits, _ . and -, beginning with a letter or digit"
        )
    return name
