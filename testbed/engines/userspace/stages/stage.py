"""What all stages share: frames with times, counters, and random words."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from testbed.engines.userspace.segments import Packet, SegmentTrain, number_of
from testbed.impairments import CERTAIN

Frame = tuple[int, Packet]
"""The time at which a packet reaches the next stage, ns of the monotonic clock, and the packet; or several packets of a
frame of segmentation offload, which reach it at the same time."""

RandomWords = Callable[[], int]
"""The next random word of a stage, 32 bits."""


FRAME_OVERHEAD_BYTES: Final = 256
"""Memory that a held frame takes besides its bytes: objects for it, its time, and its place in two queues."""


def singles(frames: list[Frame]) -> list[Frame]:
    """Return the frames with every packet on its own."""
    out: list[Frame] = []
    for frame in frames:
        now, packet = frame
        if type(packet) is SegmentTrain and packet.count > 1:
            out += [(now, packet.part(number, number + 1)) for number in range(packet.count)]
        else:
            out.append(frame)
    return out


class Stage(Protocol):
    """A step of a link that frames cross in batches, single packets unless the class says otherwise."""

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames that leave the stage, in order, each with the time at which it leaves."""


@dataclass(slots=True)
class Counts:
    """Counters of a link's stages since its first impairments; frames unless the name says otherwise.

    `dropped_bytes` counts the bytes of frames dropped from a queue, plus `FRAME_OVERHEAD_BYTES` for each.
    """

    scripted: int = 0
    policed: int = 0
    lost: int = 0
    corrupted: int = 0
    duplicated: int = 0
    reordered: int = 0
    queue_drops: int = 0
    early_drops: int = 0
    marked: int = 0
    queue_most_bytes: int = 0
    dropped_bytes: int = 0

    def drop_full(self, packet: Packet) -> None:
        """Count what is dropped because the queue is full."""
        number = number_of(packet)
        self.queue_drops += number
        self.dropped_bytes += len(packet) + number * FRAME_OVERHEAD_BYTES

    def drop_early(self, packet: Packet) -> None:
        """Count a packet that the queue's discipline drops although the queue is not full."""
        self.early_drops += 1
        self.dropped_bytes += len(packet) + FRAME_OVERHEAD_BYTES


def random_words(seed: str, stage: str, correlation: int = 0) -> RandomWords:
    """Return a function that draws the random words of a stage from a Mersenne Twister seeded with `seed:stage`.

    With a correlation c, in 1/2^32, each word is mixed with the result before it, as in net/sched/sch_netem.c,
    `get_crandom`: floor((c last + (2^32 - c) word) / 2^32). The first result is mixed with the generator's first word.
    """
    draw = partial(random.Random(f"{seed}:{stage}").getrandbits, 32)
    if not correlation:
        return draw
    last = draw()

    def mixed() -> int:
        nonlocal last
        last = (draw() * (CERTAIN - correlation) + last * correlation) >> 32
        return last

    return mixed


def steps(starts_ns: Sequence[int], values: Sequence[int], period_ns: int, applied: int) -> Callable[[int], int]:
    """Return a function of the time, ns, that returns the value of a trace then.

    Args:
        starts_ns: when each value begins, ascending from 0.
        values: the values.
        period_ns: after which they repeat.
        applied: the time at which the trace begins; before that, it has its first value.
    """

    def value_at(now: int) -> int:
        return values[bisect_right(starts_ns, max(now - applied, 0) % period_ns) - 1]

    return value_at
