"""Starts an agent before its lab is known. Importing this takes no time."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from testbed.runtime import launching

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def agent_ahead(runtime: str | None) -> AbstractContextManager[None]:
    """Start an agent while the topology is still being read; the lab is brought up within this context.

    Args:
        runtime: the runtime that will be needed, if it is known; with `docker` the agent may be a container.
    """
    return nullcontext() if runtime == "docker" else launching.ahead()
