"""Processes that are to become agents of this machine. Importing this module takes no time.

So a command launches the agent before all else: while the agent imports what it needs, so does the command.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_waiting: list[subprocess.Popen[bytes]] = []
"""Agents that were started ahead."""


@contextmanager
def ahead() -> Iterator[None]:
    """Start an agent before its lab is known; the lab is brought up within this context.

    To start takes an agent as long as it takes us to read the file. One that was not needed ends with the context.
    """
    process = _launch()
    _waiting.append(process)
    try:
        yield
    finally:
        if process in _waiting:
            _waiting.remove(process)
            end(process)


def launched() -> subprocess.Popen[bytes]:
    """Return an agent that was started ahead, or a new one. It waits for the name of its lab."""
    return _waiting.pop() if _waiting else _launch()


def end(process: subprocess.Popen[bytes]) -> None:
    """End an agent without a lab, or reap one that was started here and has ended."""
    process.kill()
    process.communicate()  # closes both pipes


def _launch() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "testbed.agent", "--ahead"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        start_new_session=True,
    )
