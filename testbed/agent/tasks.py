"""Tasks that are ended for certain."""

from __future__ import annotations

import asyncio
from typing import Any


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended, so that it uses nothing of what its caller closes next.

    A task that is only told to end still has its reader in the event loop when its descriptor is closed. The loop
    knows descriptors by their numbers: it then takes the next one of that number for one that it watches already, and
    a wait for that one never ends.
    """
    task.cancel()
    await asyncio.wait([task])
