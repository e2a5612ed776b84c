"""The emulation of one link in virtual time, sans-IO: without sockets, clock or sleep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.engines.counters import Counters
from testbed.engines.userspace.lateness import LatenessHistogram
from testbed.engines.userspace.lines import AnyOrder, InOrder, Line
from testbed.engines.userspace.queueing.bottleneck import EventDrivenBottleneck
from testbed.engines.userspace.queueing.constant_rate import ConstantRateBottleneck
from testbed.engines.userspace.segments import KEPT_LEAST, Packet, SegmentTrain, joined, number_of
from testbed.engines.userspace.stages.corruption import BitErrors
from testbed.engines.userspace.stages.delay import ConstantDelay, Delay, delay
from testbed.engines.userspace.stages.duplication import Duplication
from testbed.engines.userspace.stages.loss import LossStage, loss_stage
from testbed.engines.userspace.stages.policer import Policing
from testbed.engines.userspace.stages.script import ScriptedLoss
from testbed.engines.userspace.stages.stage import FRAME_OVERHEAD_BYTES, Counts, Frame, Stage, singles
from testbed.impairments import DropTail, FixedRate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.impairments import Bottleneck, Impairments

HELD_BYTES_MOST = 128 << 20
"""The most bytes that the frames in flight on one link may take (1 Gbit/s for a second); further frames are dropped."""

_LATE_EXPONENT = 20
"""Frames count as late that leave 2^20 ns, a millisecond, after they were due."""


class LinkEmulator:
    """Carries out the impairments of one link on its frames, deterministically from a seed.

    When frames arrive, they cross those stages of `testbed.impairments.Impairments` that the impairments need; the
    emulator then holds them until they leave. The result is the same however late or seldom `release` is called.

    A frame of segmentation offload counts as the packets that it is on the wire (`segments`): each has its own fate, as
    if it had come alone, at the same time. They stay together only as long as the fate of all is the same.

    All times are nanoseconds of one monotonic clock. Random words are drawn as `testbed.engines.userspace.stages` says.

    Args:
        impairments: the first impairments of the link.
        seed: of the link.
        now: when the impairments are applied.
        origin: time zero of their traces; `now` unless given.
    """

    def __init__(self, impairments: Impairments, seed: int, now: int, origin: int | None = None) -> None:
        self._seed = seed
        self._generation = 0
        self._origin_ns: int | None = None
        self._counts = Counts()
        self._delay: Delay | None = None
        self._line: Line = InOrder()
        self._held_bytes = 0
        self._held = 0  # packets that the line has got
        self._lateness = LatenessHistogram()
        self._packets_in = 0
        self._bytes_in = 0
        self._packets_out = 0
        self._bytes_out = 0
        self._backlog_drops = 0
        self._replace(impairments, now, now if origin is None else origin)

    def replace(self, impairments: Impairments, now: int) -> None:
        """Apply new impairments to frames from `now` on; counts of scripts, traces and random words start again.

        Frames in flight keep what has been decided: losses, errors, copies, and when their delay ends. Frames that
        are not yet sent, or only in part, continue at the new bottleneck, which drops none of those that
        already wait. If the new impairments keep order, no later frame overtakes them.
        """
        self._replace(impairments, now, now)

    def _replace(self, impairments: Impairments, now: int, origin: int) -> None:
        seed = f"{self._seed}:{self._generation}"
        counts = self._counts
        self._generation += 1
        self._origin_ns = origin if impairments.traces else None

        contents = self._line.hand_over(now)
        after = max(self._delay.last_ns if self._delay else 0, contents.coming[-1][0] if contents.coming else 0)
        self._delay = None
        if impairments.longest_delay_ns or impairments.reorder or after > now:
            self._delay = delay(impairments, seed, counts, applied=origin, after_ns=after)
        line: Line = InOrder() if impairments.keeps_order else AnyOrder()
        match impairments.bottleneck:
            case None:
                line.add(contents.without_bottleneck(now))
                self._line = line
            case bottleneck if _is_plain(bottleneck) and impairments.keeps_order:
                self._line = ConstantRateBottleneck(bottleneck, counts, now, contents)
            case bottleneck:
                self._line = EventDrivenBottleneck(
                    bottleneck, seed, counts, line, now=now, applied=origin, contents=contents
                )
        self._holds_trains = isinstance(self._line, InOrder | ConstantRateBottleneck) and (
            self._delay is None or isinstance(self._delay, ConstantDelay)
        )
        self._choosing = _present(
            ScriptedLoss(impairments.drops, counts) if impairments.drops else None,
            Policing(impairments.policer, counts, now) if impairments.policer else None,
            loss_stage(impairments.loss, seed, counts, origin) if impairments.loss else None,
            BitErrors(impairments.corruption, seed, counts) if impairments.corruption else None,
            Duplication(impairments.duplicate, seed, counts) if impairments.duplicate else None,
        )

    def accept(self, packets: Sequence[Packet], now: int) -> int:
        """Accept frames that arrived at `now`, in order; `now` may not be earlier than in the previous call.

        Returns:
            The number of packets that they are on the wire.
        """
        together = SegmentTrain in set(map(type, packets))
        count = sum(map(number_of, packets)) if together else len(packets)
        self._packets_in += count
        self._bytes_in += sum(map(len, packets))
        frames: list[Frame] = [(now, packet) for packet in packets]
        for stage in self._choosing:
            if not together:
                frames = stage.cross(frames)
            elif isinstance(stage, LossStage):
                frames = stage.cross_trains(frames)
            else:
                frames = stage.cross(singles(frames))
                together = False
        kept = sum([number_of(packet) for _, packet in frames]) if together else len(frames)
        if kept < count * KEPT_LEAST:
            frames = [(at, packet.alone() if type(packet) is SegmentTrain else packet) for at, packet in frames]
        cost = sum([len(packet) for _, packet in frames]) + FRAME_OVERHEAD_BYTES * kept
        if self._held_bytes - self._counts.dropped_bytes + cost > HELD_BYTES_MOST:
            self._backlog_drops += kept
            return count
        if together and not self._holds_trains:
            frames = singles(frames)
        if self._delay is not None:
            frames = self._delay.cross(frames)
        self._held_bytes += cost
        self._held += kept
        self._line.add(frames)
        return count

    def next_wakeup(self) -> int | None:
        """Return when `release` may next have something to do; None while nothing is in flight."""
        return self._line.next_wakeup()

    def release(self, now: int, most: int) -> list[Packet]:
        """Remove and return the frames due at `now`, in order, at most `most` of them; the others stay due.

        Packets of a frame that leave together are one train; those that are due later stay.
        """
        frames = self._line.take(now, most)
        packets = [packet for _, packet in frames]
        size = sum(map(len, packets))
        count = len(packets)
        if SegmentTrain in set(map(type, packets)):
            for due, packet in frames:
                number = number_of(packet)
                count += number - 1
                span = packet.span_ns if type(packet) is SegmentTrain else 0
                self._lateness.record_steps(now - due, now - due - span, number)
            packets = joined(packets)
        else:
            self._lateness.record([now - due for due, _ in frames])
        self._packets_out += count
        self._bytes_out += size
        self._held_bytes -= size + FRAME_OVERHEAD_BYTES * count
        return packets

    def stats(self, now: int | None = None) -> Counters:
        """Return the counters that are known here; what waits for the bottleneck only if it is said when that is."""
        counts = self._counts
        queued = queued_bytes = None
        if now is not None and isinstance(self._line, ConstantRateBottleneck | EventDrivenBottleneck):
            queued, queued_bytes = self._line.queued(now)
        return Counters(
            packets_in=self._packets_in,
            bytes_in=self._bytes_in,
            packets_out=self._packets_out,
            bytes_out=self._bytes_out,
            scripted=counts.scripted,
            policed=counts.policed,
            lost=counts.lost,
            corrupted=counts.corrupted,
            duplicated=counts.duplicated,
            reordered=counts.reordered,
            queue_drops=counts.queue_drops,
            early_drops=counts.early_drops,
            marked=counts.marked,
            backlog_drops=self._backlog_drops,
            in_flight=self._held - self._packets_out - counts.queue_drops - counts.early_drops,
            queued=queued,
            queued_bytes=queued_bytes,
            queue_most_bytes=counts.queue_most_bytes,
            origin_ns=self._origin_ns,
            lateness_p50_ns=self._lateness.quantile(0.5),
            lateness_p99_ns=self._lateness.quantile(0.99),
            lateness_max_ns=self._lateness.most,
            late=self._lateness.at_least(_LATE_EXPONENT),
        )


def _is_plain(bottleneck: Bottleneck) -> bool:
    """Return whether a bottleneck has a constant rate, without bursts, and a droptail queue."""
    return type(bottleneck.rate) is FixedRate and isinstance(bottleneck.discipline, DropTail)


def _present(*stages: Stage | None) -> tuple[Stage, ...]:
    return tuple(stage for stage in stages if stage is not None)
