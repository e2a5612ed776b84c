"""What holds frames until they are due."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from testbed.agent.userspace.stages.stage import Frame


class Line(Protocol):
    """Frames, each due at a time; of those due at the same time the one added first is the first."""

    def add(self, frames: list[Frame]) -> None:
        """Hold frames, each until its time."""

    def next_wakeup(self) -> int | None:
        """When `take` may next have something to do; None where nothing is held."""

    def take(self, now: int, most: int) -> list[Frame]:
        """Take out the frames due at `now`, in order; at most `most` of them, the rest stays due."""

    def drain(self) -> list[Frame]:
        """Take out all frames, in the order in which they are due."""

    def __len__(self) -> int:
        """How many frames are held."""


class InOrder:
    """Holds frames that are added in the order in which they are due."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()

    def add(self, frames: list[Frame]) -> None:
        """Hold frames, due no earlier than those before."""
        self._frames.extend(frames)

    def next_wakeup(self) -> int | None:
        """When the first frame is due."""
        return self._frames[0][0] if self._frames else None

    def take(self, now: int, most: int) -> list[Frame]:
        """Take out the frames due at `now`."""
        frames = self._frames
        taken: list[Frame] = []
        while frames and frames[0][0] <= now and len(taken) < most:
            taken.append(frames.popleft())
        return taken

    def drain(self) -> list[Frame]:
        """Take out all frames."""
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def __len__(self) -> int:
        return len(self._frames)


class AnyOrder:
    """Holds frames that are added in any order."""

    __slots__ = ("_added", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, bytes]] = []
        self._added = 0

    def add(self, frames: list[Frame]) -> None:
        """Hold frames, each until its time."""
        for due, packet in frames:
            heappush(self._heap, (due, self._added, packet))
            self._added += 1

    def next_wakeup(self) -> int | None:
        """When the first frame is due."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: int, most: int) -> list[Frame]:
        """Take out the frames due at `now`."""
        taken: list[Frame] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < most:
            due, _, packet = heappop(self._heap)
            taken.append((due, packet))
        return taken

    def drain(self) -> list[Frame]:
        """Take out all frames."""
        frames = [(due, packet) for due, _, packet in sorted(self._heap)]
        self._heap.clear()
        return frames

    def __len__(self) -> int:
        return len(self._heap)
