"""What holds frames until they are due, and what of them one set of impairments of a link hands over to the next."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from testbed.engines.userspace.stages.stage import Frame
    from testbed.impairments import Discipline


class Queue(Protocol):
    """A bottleneck's queue."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the frames that wait."""

    def enqueue(self, packet: bytes, now: int, room: int) -> None:
        """Take a frame that comes at `now`, where no more than `room` bytes may wait."""

    def dequeue(self, now: int) -> bytes | None:
        """The frame to send at `now`; None where none is left."""

    def waiting(self) -> list[Frame]:
        """The frames that wait, each with the time at which it came, in that order."""

    def __len__(self) -> int:
        """How many frames wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a link holds at a moment.

    Attributes:
        sent: frames that have left by then and were not taken out, with the times at which they did.
        sending: the frame being sent, and what is left of it to send (`transmitters.BYTE_WORK` for each byte).
        waiting: frames in the bottleneck's queue with the times at which they came there, the earliest first.
        coming: frames that are delayed, with the times at which they no longer are, in that order.
        queue: what the waiting frames are in, where that has a state beside them.
        discipline: of the queue.
    """

    sent: list[Frame] = field(default_factory=list)
    sending: tuple[int, bytes] | None = None
    waiting: list[Frame] = field(default_factory=list)
    coming: list[Frame] = field(default_factory=list)
    queue: Queue | None = None
    discipline: Discipline | None = None

    def without_bottleneck(self, now: int) -> list[Frame]:
        """All of the frames, where there is nothing to wait for from `now` on."""
        held = [*([self.sending[1]] if self.sending else []), *(packet for _, packet in self.waiting)]
        return [*self.sent, *((now, packet) for packet in held), *self.coming]


class Line(Protocol):
    """Frames, each due at a time; of those due at the same time the one added first is the first."""

    def add(self, frames: list[Frame]) -> None:
        """Hold frames, each until its time."""

    def next_wakeup(self) -> int | None:
        """When `take` may next have something to do; None where nothing is held."""

    def take(self, now: int, most: int) -> list[Frame]:
        """Take out the frames due at `now`, in order; at most `most` of them, the rest stays due."""

    def hand_over(self, now: int) -> Contents:
        """Take out all frames, as they are at `now`; the line is of no use then."""

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

    def hand_over(self, now: int) -> Contents:
        """Take out all frames."""
        return _parted(list(self._frames), now)

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

    def hand_over(self, now: int) -> Contents:
        """Take out all frames."""
        return _parted([(due, packet) for due, _, packet in sorted(self._heap)], now)

    def __len__(self) -> int:
        return len(self._heap)


def _parted(frames: list[Frame], now: int) -> Contents:
    """What a line holds that has these frames, in the order in which they are due."""
    return Contents(
        sent=[frame for frame in frames if frame[0] <= now], coming=[frame for frame in frames if frame[0] > now]
    )
