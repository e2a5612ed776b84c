"""Tells when the kernel has frozen or thawed a container's processes, by the freezer of its cgroup (cgroups(7)).

The Docker Engine pauses a container by the freezer and answers only when it has written that down, which takes it as
long again. To use the freezer ourselves would be faster still, but the Engine would neither know of it nor be able to
pause or unpause the container any more (docs/robustness.md).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

_POLL_SECONDS = 0.0005


async def changed_ns(pid: int, ordered: asyncio.Task[None], *, frozen: bool) -> int:
    """Return when the container of a process has been frozen, or thawed, as ordered; ns of the monotonic clock.

    Where its cgroup can't be seen, that is when the order has been carried out.

    Args:
        pid: of the container's first process.
        ordered: the order, which is not awaited.
        frozen: what it asks for.
    """
    state = _state_of(pid)
    while not ordered.done():
        with suppress(OSError):  # the container has just gone
            if state and _is_frozen(state) is frozen:
                break
        await asyncio.sleep(_POLL_SECONDS)
    return time.monotonic_ns()


def _state_of(pid: int) -> Path | None:
    """Return the file that says whether the cgroup of a process is frozen, of version 1 or 2; None if there is none."""
    with suppress(OSError):
        lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text("utf-8", "replace").splitlines()]
        places = [Path(f"/sys/fs/cgroup/freezer{path}/freezer.state") for _, names, path in lines if names == "freezer"]
        places += [Path(f"/sys/fs/cgroup{path}/cgroup.events") for number, _, path in lines if number == "0"]
        return next((place for place in places if place.exists()), None)
    return None


def _is_frozen(state: Path) -> bool:
    said = state.read_text("ascii")
    return said.strip() == "FROZEN" or "frozen 1" in said
