"""The interface by which the agent pauses nodes and switches them off and on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.faults import NameFault


class NodeControl(Protocol):
    """Controls the nodes of a lab.

    All methods return when that had its effect, ns of the monotonic clock, which may be earlier than when they return,
    and raise TestbedError where the node can't be controlled so.
    """

    async def pause(self, node: str) -> int:
        """Pause all processes of a node, including those that the agent has started in it."""
        ...

    async def unpause(self, node: str) -> int:
        """Let the processes of a paused node go on."""
        ...

    async def stop(self, node: str) -> int:
        """Ask the program of a node to end, kill it if it takes more than ten seconds, and switch the node off."""
        ...

    async def kill(self, node: str, number: int) -> int:
        """Send the program of a node a signal; SIGKILL ends all of its processes, and the node is off then."""
        ...

    async def start(self, node: str) -> int:
        """Switch a node on that is off, and return when its program has begun and all of its links work."""
        ...

    async def set_clock(self, node: str, offset_ns: int, drift_ppb: int) -> int:
        """Set how wrong the clock of a node's programs is; see `testbed.faults.SetClock`."""
        ...

    async def throttle(self, node: str, cpus_milli: int) -> int:
        """Limit the processes of a node to so many thousandths of a core; 0 restores the limit that it had at first."""
        ...

    async def set_names(self, node: str, wrong: Mapping[str, NameFault]) -> int:
        """Set all that is wrong with names that programs of a node look up, by name in lower case."""
        ...

    async def prepare_names(self, node: str) -> None:
        """Make ready what takes `set_names` long the first time, until `release_names`."""
        ...

    async def release_names(self, node: str) -> None:
        """Remove what `prepare_names` has made, when nothing is wrong any more."""
        ...

    async def fill_disk(self, node: str, path: str, *, full: bool) -> int:
        """Make the file system at a path of a node full, or as large as it was at first."""
        ...

    async def slow_disk(self, node: str, path: str, bytes_per_s: int) -> int:
        """Limit how fast the processes of a node read and write the disk at a path; 0 is as fast as at first."""
        ...

    def close(self) -> None:
        """Remove what was made for faults outside of the nodes."""
        ...
