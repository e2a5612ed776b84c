"""The stages of a link that a frame crosses one after another, each in virtual time.

A stage takes the frames of one batch in order, each with the time at which it reaches the stage, and returns those
that leave it, in order, each with the time at which it does. What happens to a frame is decided when the frame
arrives at the link, so it depends on arrival times and on the seed alone, never on when the process woke.

Each stage that has something random about it has a generator of its own, seeded with the link's seed and the stage's
name, so what one stage draws never shifts what another draws.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.shape import Shape

Frame = tuple[int, bytes]
"""The time at which a frame reaches the next stage, ns of the monotonic clock, and its bytes from the MAC header on."""

_BIT_NS = 8 * 10**9
"""Nanoseconds that a byte takes at 1 bit/s."""


def _generator(seed: int, stage: str) -> random.Random:
    return random.Random(f"{seed}:{stage}")


class Loss:
    """Drops each frame with a probability, independently of all others.

    One 32-bit word is drawn per frame that arrives at the link, whatever the shape: word n decides on frame n, so the
    frames lost with a lower probability are among those lost with a higher one.

    Attributes:
        lost: frames dropped here.
    """

    __slots__ = ("_draw", "_probability", "lost")

    def __init__(self, shape: Shape, seed: int) -> None:
        self._draw = _generator(seed, "loss").getrandbits
        self.lost = 0
        self.replace(shape)

    def replace(self, shape: Shape) -> None:
        """Decide on later frames by `shape`."""
        self._probability = shape.loss

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """The frames that are not lost."""
        draw = self._draw
        probability = self._probability
        kept = [frame for frame in frames if draw(32) >= probability]
        self.lost += len(frames) - len(kept)
        return kept


class Delay:
    """Holds each frame for the delay and its jitter; frames keep their order.

    While the shape has jitter, one 32-bit word w is drawn per frame that reaches the stage; the frame is held for
    delay - jitter + floor(w (2 jitter + 1) / 2^32) ns, or as long as the frame before it where that leaves later.
    """

    __slots__ = ("_delay_ns", "_draw", "_jitter_ns", "_last_ns")

    def __init__(self, shape: Shape, seed: int) -> None:
        self._draw = _generator(seed, "jitter").getrandbits
        self._last_ns = 0
        self.replace(shape)

    def replace(self, shape: Shape) -> None:
        """Hold later frames by `shape`, behind those that are held already."""
        self._delay_ns = shape.delay_ns
        self._jitter_ns = shape.jitter_ns

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """All frames, later."""
        last = self._last_ns
        shortest = self._delay_ns - self._jitter_ns
        spread = 2 * self._jitter_ns + 1
        draw = self._draw
        held = []
        for now, packet in frames:
            due = now + shortest
            if spread > 1:
                due += draw(32) * spread >> 32
            if due < last:
                due = last
            else:
                last = due
            held.append((due, packet))
        self._last_ns = last
        return held


class Bottleneck:
    """A transmitter of limited rate behind a droptail queue.

    A frame leaves when its last bit is sent. The frame being sent is not in the queue; a frame that finds the
    transmitter idle needs no queue. Fractions of a nanosecond are carried from frame to frame, so that a busy
    transmitter keeps the rate exactly.

    Attributes:
        dropped: frames that did not fit into the queue.
        most_waiting_bytes: the most that the queue has held.
    """

    __slots__ = (
        "_carry",
        "_free_ns",
        "_queue_bytes",
        "_rate_bps",
        "_waiting",
        "_waiting_bytes",
        "dropped",
        "most_waiting_bytes",
    )

    def __init__(self, shape: Shape) -> None:
        self._free_ns = 0  # when the transmitter has sent all it was given, and the fraction of a ns, in 1/rate
        self._carry = 0
        self._waiting: deque[tuple[int, int]] = deque()  # when a frame's transmission starts, and the frame's bytes
        self._waiting_bytes = 0
        self.dropped = 0
        self.most_waiting_bytes = 0
        self.replace(shape)

    def replace(self, shape: Shape) -> None:
        """Queue and send later frames by `shape`, behind those that wait already; these keep the rate they had."""
        self._rate_bps = shape.rate_bps
        self._queue_bytes = shape.queue_bytes
        self._carry = 0

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """The frames that the queue had room for, when they are sent."""
        rate = self._rate_bps
        free = self._free_ns
        if not rate:
            return [(max(due, free), packet) for due, packet in frames] if frames and frames[0][0] < free else frames
        carry = self._carry
        waiting = self._waiting
        waiting_bytes = self._waiting_bytes
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
                    self.dropped += 1
                    continue
                waiting.append((free, size))
                waiting_bytes += size
                self.most_waiting_bytes = max(self.most_waiting_bytes, waiting_bytes)
            duration, carry = divmod(size * _BIT_NS + carry, rate)
            free += duration
            sent.append((free, packet))
        self._free_ns = free
        self._carry = carry
        self._waiting_bytes = waiting_bytes
        return sent
