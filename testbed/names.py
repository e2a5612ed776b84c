"""Validation of the names of labs, nodes and networks, which become names of files, containers and hosts."""

from __future__ import annotations

import re

from testbed.errors import UsageError

HOST, INTERNET = "host", "internet"
BUILT_IN = (HOST, INTERNET)
"""The nodes that no file makes: this machine, and everything beyond it that nodes exchange packets with."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""What the Docker Engine accepts as a container's name; it can't be a path."""


def checked(name: str) -> str:
    """Return the name if it is valid; it may come from the command line or from an untrusted plan.

    Raises:
        UsageError: `bad-name`.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise UsageError(
            "bad-name",
            f"{name!r} is not a valid name",
            "use letters, digits, _ . and -, beginning with a letter or digit",
        )
    return name
