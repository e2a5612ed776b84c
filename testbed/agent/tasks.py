"""Cancellation of tasks."""

from __future__ import annotations

import asyncio
from typing import Any


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, so that it no longer uses what the caller closes next.

    A task that was only cancelled still has its reader in the event loop when its descriptor is closed. The loop
    knows descriptors by their numbers: it then takes the next one of that number for one that it watches already, and
    a wait for that one never ends.
    """
    task.cancel()
    await asyncio.wait([task])
