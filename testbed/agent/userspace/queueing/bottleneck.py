"""A queue and a transmitter, in virtual time: at once where that is possible, else event by event.

A frame leaves when its last bit is sent. The frame being sent is not in the queue; a frame that can be sent as it
comes needs no queue. Where a frame comes at the very time at which another begins to be sent, that one has left the
queue.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.agent.userspace.queueing.disciplines import CoDel, DropHead, Fifo, Queue
from testbed.agent.userspace.queueing.fq_codel import FqCoDel
from testbed.agent.userspace.queueing.transmitters import BYTE_WORK, transmitter
from testbed.agent.userspace.stages.delay import in_order
from testbed.agent.userspace.stages.stage import Counts, Frame, words

if TYPE_CHECKING:
    from testbed.agent.userspace.lines import Line
    from testbed.shape import Shape

_NEVER = 1 << 63


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the bottleneck of the shape before still has to send.

    Attributes:
        free_ns: when all of it is sent.
        waiting: of the frames that wait, the start of transmission and the bytes. They count in the new queue.
    """

    free_ns: int = 0
    waiting: tuple[tuple[int, int], ...] = ()


def decides_on_arrival(shape: Shape) -> bool:
    """Whether a frame's departure is settled by the frames before it alone, so that `StraightBottleneck` will do."""
    return bool(shape.rate_bps) and shape.discipline.name == "droptail" and in_order(shape)


class StraightBottleneck:
    """A transmitter of constant rate behind a droptail queue, for frames that come in order: a stage like the others.

    Fractions of a nanosecond are carried from frame to frame, so that a busy transmitter keeps the rate exactly.
    """

    __slots__ = (
        "_carry",
        "_counts",
        "_free_ns",
        "_overhead_bytes",
        "_queue_bytes",
        "_rate_bps",
        "_waiting",
        "_waiting_bytes",
    )

    def __init__(self, shape: Shape, counts: Counts, backlog: Backlog) -> None:
        self._rate_bps = shape.rate_bps
        self._queue_bytes = shape.queue_bytes
        self._overhead_bytes = shape.overhead_bytes
        self._counts = counts
        self._free_ns = backlog.free_ns  # when the transmitter has sent all it was given, and what is left of a ns
        self._carry = 0
        self._waiting = deque(backlog.waiting)
        self._waiting_bytes = sum(size for _, size in backlog.waiting)

    @property
    def backlog(self) -> Backlog:
        """What there is still to send."""
        return Backlog(self._free_ns, tuple(self._waiting))

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """The frames that the queue had room for, when they are sent."""
        rate = self._rate_bps
        overhead = self._overhead_bytes
        free = self._free_ns
        carry = self._carry
        waiting = self._waiting
        waiting_bytes = self._waiting_bytes
        most = self._counts.queue_most_bytes
        sent = []
        for due, packet in frames:
            size = len(packet)
            while waiting and waiting[0][0] <= due:
                waiting_bytes -= waiting.popleft()[1]
            if free < due:
                free = due
                carry = 0
            elif free > due:
                if waiting_bytes + size > self._queue_bytes:
                    self._counts.queue_drops += 1
                    continue
                waiting.append((free, size))
                waiting_bytes += size
                most = max(most, waiting_bytes)
            duration, carry = divmod((size + overhead) * BYTE_WORK + carry, rate)
            free += duration
            sent.append((free, packet))
        self._free_ns = free
        self._carry = carry
        self._waiting_bytes = waiting_bytes
        self._counts.queue_most_bytes = most
        return sent


class EventfulBottleneck:
    """Any transmitter and queue, fed by the line on which frames are delayed: a line itself, to who takes frames out.

    What becomes of a frame may depend on frames that come later, so it is decided event by event when time has
    passed, in virtual time: however late that is, the outcome is the same. (Only a frame that is added after a later
    time was taken has come too late to change what happened before, and is taken to come then.)
    """

    __slots__ = (
        "_before",
        "_before_bytes",
        "_clock",
        "_counts",
        "_free",
        "_line",
        "_out",
        "_queue",
        "_queue_bytes",
        "_start",
        "_transmitter",
        "_waiting",
    )

    def __init__(self, shape: Shape, seed: str, counts: Counts, line: Line, *, applied: int, backlog: Backlog) -> None:
        self._queue = _queue(shape, seed, counts)
        self._queue_bytes = shape.queue_bytes
        self._counts = counts
        self._line = line
        self._transmitter = transmitter(shape, applied)
        self._before = deque(backlog.waiting)
        self._before_bytes = sum(size for _, size in backlog.waiting)
        self._clock = applied  # of the last event
        self._free = backlog.free_ns  # when the transmitter has sent all it was given
        self._start = _NEVER  # when the next frame begins to be sent
        self._out: deque[Frame] = deque()
        self._waiting: list[tuple[int, int]] = []

    @property
    def backlog(self) -> Backlog:
        """What there was still to send when the bottleneck was drained."""
        return Backlog(self._free, tuple(self._waiting))

    def add(self, frames: list[Frame]) -> None:
        """Delay frames, each until its time, and queue them then."""
        self._line.add(frames)

    def next_wakeup(self) -> int | None:
        """When `take` may next have something to do; None where nothing is held."""
        if self._out:
            return self._out[0][0]
        return self._start if self._start < _NEVER else self._line.next_wakeup()

    def take(self, now: int, most: int) -> list[Frame]:
        """Take out the frames sent by `now`."""
        self._run(now)
        out = self._out
        taken: list[Frame] = []
        while out and out[0][0] <= now and len(taken) < most:
            taken.append(out.popleft())
        return taken

    def drain(self) -> list[Frame]:
        """Take out all frames with the times at which they would have been sent if no more had come."""
        started = self._clock
        self._waiting = [(start, size) for start, size in self._before if start > started]
        self._run(_NEVER - 1, self._waiting)
        frames = list(self._out)
        self._out.clear()
        return frames

    def __len__(self) -> int:
        return len(self._line) + len(self._queue) + len(self._out)

    def _run(self, now: int, started: list[tuple[int, int]] | None = None) -> None:
        """Let all happen that happens by `now`; `started` takes the starts of transmissions and the bytes."""
        while True:
            arrival = self._line.next_wakeup()
            if self._start < _NEVER and (arrival is None or self._start <= arrival):
                if self._start > now:
                    return
                if (size := self._send(self._start)) and started is not None:
                    started.append((self._clock, size))
            elif arrival is None or arrival > now:
                return
            else:
                self._arrive(arrival)

    def _arrive(self, now: int) -> None:
        ((due, packet),) = self._line.take(now, 1)
        clock = self._clock = max(self._clock, due)
        before = self._before
        while before and before[0][0] <= clock:
            self._before_bytes -= before.popleft()[1]
        room = self._queue_bytes - self._before_bytes
        queue = self._queue
        if self._start == _NEVER:  # nothing waits
            start = self._transmitter.starts(max(self._free, clock))
            if start == clock:
                queue.enqueue(packet, clock, max(room, len(packet)))
                self._start = clock
                return
        else:
            start = self._start
        queue.enqueue(packet, clock, room)
        self._start = start if len(queue) else _NEVER
        self._counts.queue_most_bytes = max(self._counts.queue_most_bytes, queue.waiting_bytes + self._before_bytes)

    def _send(self, start: int) -> int:
        """Begin to send what the queue gives at `start`; returns the frame's bytes, 0 where it gives none."""
        self._clock = start
        packet = self._queue.dequeue(start)
        if packet is not None:
            self._free = self._transmitter.ends(start, len(packet))
            self._out.append((self._free, packet))
        self._start = self._transmitter.starts(self._free) if len(self._queue) else _NEVER
        return len(packet) if packet is not None else 0


def _queue(shape: Shape, seed: str, counts: Counts) -> Queue:
    discipline = shape.discipline
    match discipline.name:
        case "codel":
            return CoDel(discipline, counts)
        case "fq_codel":
            return FqCoDel(discipline, counts, words(seed, "flows"))
        case "drophead":
            return DropHead(counts)
    return Fifo(counts)
