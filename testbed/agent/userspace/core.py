"""One link as a dialogue in virtual time: frames in, time passes, frames out. No sockets, no clock, no sleep."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from testbed.agent.userspace.stages import Bottleneck, Delay, Frame, Loss
from testbed.agent.userspace.stats import LatenessHistogram, LinkStats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.shape import Shape

HELD_BYTES_MOST = 128 << 20
"""Bytes that the frames in flight on one link may take (1 Gbit/s for a second); what comes on top is dropped."""

FRAME_OVERHEAD_BYTES = 256
"""What holding a frame costs beside its bytes: objects for it, its time, and its place in two queues."""


class LinkEmulator:
    """What a shape does to the frames of one link, decided by a seed.

    Frames cross the stages of `testbed.shape.Shape` when they arrive, which settles whether and when each leaves; they
    are then held until that time. So the outcome is the same however late or seldom `release` is called.

    All times are nanoseconds of one monotonic clock. The order of random draws is that of
    `testbed.agent.userspace.stages`: word n of the loss generator decides on the n-th frame accepted.
    """

    def __init__(self, shape: Shape, seed: int) -> None:
        self._loss = Loss(shape, seed)
        self._delay = Delay(shape, seed)
        self._bottleneck = Bottleneck(shape)
        self._in_flight: deque[Frame] = deque()
        self._held_bytes = 0
        self._lateness = LatenessHistogram()
        self._packets_in = 0
        self._bytes_in = 0
        self._packets_out = 0
        self._bytes_out = 0
        self._backlog_drops = 0

    def accept(self, packets: Sequence[bytes], now: int) -> None:
        """Take frames that arrived at `now`, in order; `now` may not be earlier than at the call before."""
        size = sum(map(len, packets))
        self._packets_in += len(packets)
        self._bytes_in += size
        frames = self._loss.cross([(now, packet) for packet in packets])
        if self._held_bytes + size > HELD_BYTES_MOST:
            self._backlog_drops += len(frames)
            return
        frames = self._bottleneck.cross(self._delay.cross(frames))
        self._held_bytes += sum([len(packet) for _, packet in frames]) + FRAME_OVERHEAD_BYTES * len(frames)
        self._in_flight.extend(frames)

    def next_wakeup(self) -> int | None:
        """When the next frame is due; None while none is in flight."""
        return self._in_flight[0][0] if self._in_flight else None

    def release(self, now: int, most: int) -> list[bytes]:
        """Take out the frames due at `now`, in order; at most `most` of them, the rest stays due."""
        in_flight = self._in_flight
        packets: list[bytes] = []
        late = []
        size = 0
        while in_flight and in_flight[0][0] <= now and len(packets) < most:
            due, packet = in_flight.popleft()
            packets.append(packet)
            late.append(now - due)
            size += len(packet)
        self._packets_out += len(packets)
        self._bytes_out += size
        self._held_bytes -= size + FRAME_OVERHEAD_BYTES * len(packets)
        self._lateness.record(late)
        return packets

    def replace(self, shape: Shape) -> None:
        """Shape later frames by `shape`. Frames in flight keep their fate, and no later one overtakes them."""
        self._loss.replace(shape)
        self._delay.replace(shape)
        self._bottleneck.replace(shape)

    def stats(self) -> LinkStats:
        """The counters so far, as far as they are known here."""
        return LinkStats(
            packets_in=self._packets_in,
            bytes_in=self._bytes_in,
            packets_out=self._packets_out,
            bytes_out=self._bytes_out,
            lost=self._loss.lost,
            queue_drops=self._bottleneck.dropped,
            backlog_drops=self._backlog_drops,
            in_flight=len(self._in_flight),
            queue_most_bytes=self._bottleneck.most_waiting_bytes,
            lateness_p50_ns=self._lateness.quantile(0.5),
            lateness_p99_ns=self._lateness.quantile(0.99),
            lateness_max_ns=self._lateness.most,
        )
