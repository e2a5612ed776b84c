"""Lines hold frames until they are due, and hand them over when the impairments of a link change."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from testbed.engines.userspace.segments import Packet
    from testbed.engines.userspace.stages.stage import Frame
    from testbed.impairments import Discipline


class Queue(Protocol):
    """The queue of a bottleneck."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the waiting frames."""

    def enqueue(self, packet: Packet, now: int, room: int) -> None:
        """Add a frame that arrives at `now` to a queue that may hold `room` bytes."""

    def adopt(self, frames: list[Frame]) -> None:
        """Add frames of a queue before this one, in order, with their arrival times; it drops none of them."""

    def dequeue(self, now: int) -> Packet | None:
        """Remove and return the frame to send at `now`; None if the queue is empty."""

    def waiting(self) -> list[Frame]:
        """Return the waiting frames, each with its arrival time, in order of arrival."""

    def __len__(self) -> int:
        """Return the number of waiting frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The frames that a link holds at one time.

    Attributes:
        sent: frames that have left and have not been taken out, with the times at which they left.
        sending: the frame being sent, and how much of it remains to be sent (`transmitters.BYTE_WORK` per byte).
        waiting: frames in the bottleneck's queue with the times at which they arrived there, the earliest first.
        coming: delayed frames, with the times at which their delay ends, in that order.
        queue: the queue of the waiting frames, if it has a state besides them.
        discipline: of the queue.
    """

    sent: list[Frame] = field(default_factory=list)
    sending: tuple[int, Packet] | None = None
    waiting: list[Frame] = field(default_factory=list)
    coming: list[Frame] = field(default_factory=list)
    queue: Queue | None = None
    discipline: Discipline | None = None

    def without_bottleneck(self, now: int) -> list[Frame]:
        """Return all frames with the times at which they leave if there is no bottleneck from `now` on."""
        held = [*([self.sending[1]] if self.sending else []), *(packet for _, packet in self.waiting)]
        return [*self.sent, *((now, packet) for packet in held), *self.coming]


class Line(Protocol):
    """Holds frames until each is due; frames due at the same time leave in the order in which they were added."""

    def add(self, frames: list[Frame]) -> None:
        """Add frames, each with the time at which it is due."""

    def next_wakeup(self) -> int | None:
        """Return when `take` may next have something to do; None if the line is empty."""

    def take(self, now: int, most: int) -> list[Frame]:
        """Remove and return the frames due at `now`, in order, at most `most` of them; the others stay due."""

    def hand_over(self, now: int) -> Contents:
        """Remove and return all frames in their state at `now`; the line may not be used afterwards."""


def take_due(frames: deque[Frame], now: int, most: int) -> list[Frame]:
    """Remove and return the frames due at `now`, at most `most`, from frames in the order in which they are due."""
    taken: list[Frame] = []
    while frames and frames[0][0] <= now and len(taken) < most:
        taken.append(frames.popleft())
    return taken


class InOrder:
    """A line for frames that are added in the order in which they are due."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()

    def add(self, frames: list[Frame]) -> None:
        """Add frames, due no earlier than those before."""
        self._frames.extend(frames)

    def next_wakeup(self) -> int | None:
        """Return when the first frame is due; None if the line is empty."""
        return self._frames[0][0] if self._frames else None

    def take(self, now: int, most: int) -> list[Frame]:
        """Remove and return the frames due at `now`."""
        return take_due(self._frames, now, most)

    def hand_over(self, now: int) -> Contents:
        """Remove and return all frames."""
        return _parted(list(self._frames), now)


class AnyOrder:
    """A line for frames that are added in any order."""

    __slots__ = ("_added", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Packet]] = []
        self._added = 0

    def add(self, frames: list[Frame]) -> None:
        """Add frames, each with the time at which it is due."""
        for due, packet in frames:
            heappush(self._heap, (due, self._added, packet))
            self._added += 1

    def next_wakeup(self) -> int | None:
        """Return when the first frame is due; None if the line is empty."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: int, most: int) -> list[Frame]:
        """Remove and return the frames due at `now`."""
        taken: list[Frame] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < most:
            due, _, packet = heappop(self._heap)
            taken.append((due, packet))
        return taken

    def hand_over(self, now: int) -> Contents:
        """Remove and return all frames."""
        return _parted([(due, packet) for due, _, packet in sorted(self._heap)], now)


def _parted(frames: list[Frame], now: int) -> Contents:
    """Return the contents of a line at `now`, from its frames in the order in which they are due."""
    return Contents(
        sent=[frame for frame in frames if frame[0] <= now], coming=[frame for frame in frames if frame[0] > now]
    )
