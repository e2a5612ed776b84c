"""Any queue and transmitter in virtual time, event by event; `constant_rate` has a faster way for the commonest.

A frame leaves when its last bit is sent. The frame being sent is not in the queue; a frame that can be sent as it
arrives is never queued. If a frame arrives at the very time at which another begins to be sent, the other has left
the queue.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from testbed.engines.userspace.lines import Contents, take_due
from testbed.engines.userspace.queueing.choice import new_queue
from testbed.engines.userspace.queueing.transmitters import transmitter
from testbed.engines.userspace.stages.stage import singles

if TYPE_CHECKING:
    from testbed.engines.userspace.lines import Line
    from testbed.engines.userspace.stages.stage import Counts, Frame
    from testbed.impairments import Bottleneck

_NEVER = 1 << 63


class EventDrivenBottleneck:
    """A line with any transmitter and queue, behind an inner line that delays the frames.

    The fate of a frame may depend on frames that arrive later, so it is decided event by event in virtual time: the
    result is the same however late this happens. The exception is a frame added after `take` was called for a later
    time. It can't change the past any more and counts as arriving at that later time.

    Args:
        bottleneck: of the link.
        seed: of the impairments.
        counts: of the link.
        line: holds frames until they reach the queue.
        now: when the bottleneck begins.
        applied: when a trace of its rate begins.
        contents: the frames that it takes over; their queue is kept if the discipline is the same.
    """

    __slots__ = ("_clock", "_counts", "_discipline", "_free", "_line", "_out", "_queue", "_queue_bytes", "_start",
                 "_transmitter")  # fmt: skip

    def __init__(
        self,
        bottleneck: Bottleneck,
        seed: str,
        counts: Counts,
        line: Line,
        *,
        now: int,
        applied: int,
        contents: Contents,
    ) -> None:
        self._discipline = bottleneck.discipline
        self._queue_bytes = bottleneck.queue_bytes
        self._counts = counts
        self._line = line
        self._line.add(singles(contents.coming))
        self._transmitter = transmitter(bottleneck, applied)
        self._clock = now  # of the last event
        self._free = now  # when the transmitter becomes free
        self._out = deque(contents.sent)
        if contents.sending is not None:
            work, packet = contents.sending
            self._free = self._transmitter.resume(now, work)
            self._out.append((self._free, packet))
        if contents.queue is not None and contents.discipline == bottleneck.discipline:
            self._queue = contents.queue
        else:
            self._queue = new_queue(bottleneck, seed, counts, now)
            self._queue.adopt(contents.waiting)
        # When the next frame begins to be sent.
        self._start = self._transmitter.starts(self._free) if len(self._queue) else _NEVER

    def add(self, frames: list[Frame]) -> None:
        """Add frames, each with the time at which its delay ends and it reaches the queue."""
        self._line.add(frames)

    def next_wakeup(self) -> int | None:
        """Return when `take` may next have something to do; None if the line is empty."""
        if self._out:
            return self._out[0][0]
        return self._start if self._start < _NEVER else self._line.next_wakeup()

    def take(self, now: int, most: int) -> list[Frame]:
        """Remove and return the frames sent by `now`."""
        self._run(now)
        return take_due(self._out, now, most)

    def hand_over(self, now: int) -> Contents:
        """Remove and return everything that the bottleneck holds at `now`."""
        self._run(now)
        frames = list(self._out)
        sent = [frame for frame in frames if frame[0] <= now]
        sending = frames[len(sent) :]
        return Contents(
            sent=sent,
            sending=(self._transmitter.left(now), sending[0][1]) if sending else None,
            waiting=self._queue.waiting(),
            coming=self._line.hand_over(now).coming,
            queue=self._queue,
            discipline=self._discipline,
        )

    def queued(self, now: int) -> tuple[int, int]:  # noqa: ARG002  # as the other one
        """Return how many frames and bytes waited after the last event."""
        return len(self._queue), self._queue.waiting_bytes

    def _run(self, now: int) -> None:
        """Process all events up to `now`."""
        while True:
            arrival = self._line.next_wakeup()
            if self._start < _NEVER and (arrival is None or self._start <= arrival):
                if self._start > now:
                    return
                self._send(self._start)
            elif arrival is None or arrival > now:
                return
            else:
                self._arrive(arrival)

    def _arrive(self, now: int) -> None:
        ((due, packet),) = self._line.take(now, 1)
        clock = self._clock = max(self._clock, due)
        room = self._queue_bytes
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
        self._counts.queue_most_bytes = max(self._counts.queue_most_bytes, queue.waiting_bytes)

    def _send(self, start: int) -> None:
        """Begin to send the next frame of the queue at `start`, if there is one."""
        self._clock = start
        packet = self._queue.dequeue(start)
        if packet is not None:
            self._free = self._transmitter.ends(start, len(packet))
            self._out.append((self._free, packet))
        self._start = self._transmitter.starts(self._free) if len(self._queue) else _NEVER
