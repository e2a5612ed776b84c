"""Findings on a link's bottleneck, from trains of datagrams that come faster than it sends."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from testbed import statistics
from testbed.check import expected
from testbed.check.judging import CONFIDENCE, LATE_NS, TOO_LOW, compare
from testbed.check.verdict import AS_ASKED, Finding, unmeasured
from testbed.shape import CERTAIN, Opportunities, RateSteps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.shape import Shape, Trace

RATE_RATIO = 0.02
"""How far off a rate may be."""

PRESSURE = 1.25
"""How many times what the link carries a train brings: the queue never runs empty, nor does it overflow at once."""

HEADER_BYTES = 42
"""Of Ethernet, IPv4 and UDP."""

_FRAMES_LEAST = 12
"""In a row, to tell a rate from."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """What became of a train.

    Attributes:
        frame_bytes: of each datagram on the link.
        sent_ns: when each was sent.
        sequence: the numbers of those that arrived, in the order of arrival; duplicates too.
        received_ns: when each of these arrived.
    """

    frame_bytes: int
    sent_ns: Sequence[int]
    sequence: Sequence[int]
    received_ns: Sequence[int]

    @property
    def offered_bps(self) -> float:
        """How fast it was sent, but for moments in which the machine did something else."""
        steps = sorted(
            later - earlier for earlier, later in zip(self.sent_ns, self.sent_ns[_FRAMES_LEAST:], strict=False)
        )
        return 8 * self.frame_bytes * _FRAMES_LEAST * _SECOND / max(statistics.quantile(steps, 0.5), 1)

    @property
    def offered(self) -> str:
        """The same in words."""
        return f"{self.offered_bps / 1e6:.0f} mbit/s"

    @property
    def arrived_bps(self) -> float:
        """How fast what arrived did, on the whole."""
        return _rate(self.frame_bytes, self.received_ns)

    def backlog_bytes(self, shape: Shape) -> float:
        """The most that would wait at a bottleneck of the shape's rate before a queue without end."""
        counted = self.frame_bytes + shape.overhead_bytes
        per_ns = shape.rate_bps / (8 * _SECOND)
        kept = 1 - expected.of(shape).loss.rate
        backlog = most = 0.0
        for earlier, later in pairwise(self.sent_ns):
            backlog = max(backlog - (later - earlier) * per_ns, 0.0) + counted * kept
            most = max(most, backlog)
        return most * self.frame_bytes / counted

    def busy(self, shape: Shape) -> Sequence[int]:
        """Arrival times from the longest stretch in which the bottleneck was surely never idle.

        It was busy between two arrivals if the later datagram had come to it before the earlier one left it.
        """
        longest_ns = expected.longest_ns(shape)
        best, start = (0, 0), 0
        for place in range(1, len(self.sequence) + 1):
            if place < len(self.sequence):
                came_ns = self.sent_ns[self.sequence[place]] + longest_ns
                if came_ns <= self.received_ns[place - 1]:
                    continue
            best = max(best, (place - start, start))
            start = place
        length, start = best
        return self.received_ns[start : start + length]


def judge_rate(shape: Shape, train: Train, *, level: float) -> Finding | None:
    """The finding on a link's rate; None where the train did not keep the link busy, and another try may.

    Args:
        shape: what was asked for, with a bottleneck.
        train: sent at `PRESSURE` times the rate.
        level: the probability with which a link that is as asked may be found wrong.
    """
    if shape.trace:
        return _judge_trace(shape, shape.trace, train)
    # A corrupted frame was sent by the bottleneck like any other, but does not arrive.
    corrupted = shape.corruption.chance.probability / CERTAIN if shape.corruption else 0
    bits = 8 * (train.frame_bytes + shape.overhead_bytes) / (1 - corrupted)
    if train.offered_bps * (1 - expected.of(shape).loss.rate) < shape.rate_bps * (1 + PRESSURE) / 2:
        return unmeasured("rate", shape.rate_bps, f"this machine sends no more than {train.offered} at a time")
    arrivals = train.busy(shape)
    if len(arrivals) < _FRAMES_LEAST:
        return _not_busy(shape, train)
    # Theil's incomplete method: slopes over disjoint pairs. Their median minds neither late arrivals nor how late.
    half = len(arrivals) // 2
    gaps = sorted(arrivals[place + half] - arrivals[place] for place in range(half))

    def rate(gap_ns: float) -> float:
        return half * bits * _SECOND / max(gap_ns, 1)

    def interval(confidence: float) -> tuple[float, float]:
        low, high = statistics.quantile_interval(gaps, 0.5, confidence)
        return rate(min(high, gaps[-1])), rate(max(low, gaps[0]))

    return compare(
        "rate",
        asked=shape.rate_bps,
        measured=rate(statistics.quantile(gaps, 0.5)),
        interval=interval(CONFIDENCE),
        at_level=interval(1 - level),
        least=shape.rate_bps * (1 - RATE_RATIO),
        most=shape.rate_bps * (1 + RATE_RATIO),
    )


def width(finding: Finding) -> float:
    """How wide a finding's interval is; 0 where it has none."""
    return finding.interval[1] - finding.interval[0] if finding.interval else 0.0


def is_sharp(finding: Finding) -> bool:
    """Whether a finding on a rate tells as much as it has to."""
    return width(finding) <= 2 * RATE_RATIO * finding.asked


def unfilled(shape: Shape, train: Train) -> Finding:
    """The finding on a rate when no train kept the link busy, though each was sent fast enough."""
    return Finding(
        name="rate",
        asked=mean_bps(shape),
        measured=train.arrived_bps,
        interval=None,
        verdict="unknown: the link could not be kept busy",
        passed=False,
    )


def judge_queue(shape: Shape, train: Train, *, base_ns: float) -> Finding:
    """The finding on the depth of a queue: what waited before a datagram when the queue was full.

    Args:
        shape: what was asked for, with a rate.
        train: enough to overflow the queue.
        base_ns: how long a datagram is under way that does not wait.
    """
    if train.backlog_bytes(shape) < shape.queue_bytes * (1 + RATE_RATIO) + train.frame_bytes:
        return unmeasured("queue", shape.queue_bytes, f"this machine sends no more than {train.offered} at a time")
    waits = [at - train.sent_ns[number] - base_ns for number, at in zip(train.sequence, train.received_ns, strict=True)]
    full = sorted(waits[-len(waits) // 4 :]) or [0.0]  # by then the queue has been full for long
    byte_ns = 8 * _SECOND / shape.rate_bps
    # In netem a frame leaves when its transmission starts, and counts as waiting until then.
    measured = statistics.quantile(full, 0.5) / byte_ns
    counted = train.frame_bytes + shape.overhead_bytes
    asked = shape.queue_bytes * counted / train.frame_bytes
    slack = 2 * counted + RATE_RATIO * asked
    late = (LATE_NS + expected.longest_ns(shape) - shape.delay_ns) / byte_ns
    verdict = AS_ASKED
    if len(set(train.sequence)) == len(train.sent_ns):
        verdict = "too deep: nothing was dropped"
    elif measured > asked + slack + late:
        verdict = "too deep"
    elif measured < asked - slack:
        verdict = "too shallow"
    return Finding(
        name="queue",
        asked=shape.queue_bytes,
        measured=measured * train.frame_bytes / counted,
        interval=None,
        verdict=verdict,
        passed=verdict == AS_ASKED,
    )


def mean_bps(shape: Shape) -> float:
    """What a bottleneck sends, on average."""
    if shape.trace:
        return _Capacity(shape.trace).total_bits * _SECOND / shape.trace.period_ns
    return float(shape.rate_bps)


def peak_bps(shape: Shape, window_ns: int) -> float:
    """The most that a bottleneck sends in a window of time, as a rate."""
    if shape.trace:
        return max(_Capacity(shape.trace).windows(window_ns)) * _SECOND / window_ns
    return float(shape.rate_bps)


class _Capacity:
    """How many bits a trace lets pass."""

    def __init__(self, trace: Trace) -> None:
        self._period_ns = trace.period_ns
        if isinstance(trace, Opportunities):
            # Just before and at each opportunity, so that both are where a window may begin.
            self._times: list[int] = [0]
            self._bits: list[float] = [0]
            for time in trace.times_ns:
                self._times += [max(time - 1, self._times[-1]), time]
                self._bits += [self._bits[-1], self._bits[-1] + 8 * trace.frame_bytes]
        elif isinstance(trace, RateSteps):
            ends = (*trace.starts_ns[1:], trace.period_ns)
            steps = zip(trace.starts_ns, ends, trace.rates_bps, strict=True)
            self._times = [*trace.starts_ns]
            self._bits = [0, *accumulate((end - start) * rate / _SECOND for start, end, rate in steps)]
        if self._times[-1] < trace.period_ns:
            self._times.append(trace.period_ns)
            self._bits += self._bits[-1:] * (len(self._times) - len(self._bits))

    @property
    def total_bits(self) -> float:
        """In one period."""
        return self._bits[-1]

    def until(self, time_ns: int) -> float:
        """Bits until a time since the start of a period."""
        periods, rest = divmod(time_ns, self._period_ns)
        place = bisect_right(self._times, rest) - 1
        begun, bits = self._times[place], self._bits[place]
        if rest > begun:
            after = bisect_left(self._times, rest)
            bits += (self._bits[after] - bits) * (rest - begun) / (self._times[after] - begun)
        return periods * self.total_bits + bits

    def windows(self, length_ns: int) -> Iterator[float]:
        """What passes in windows of a length; the most and the least of all windows are among them."""
        for time in self._times:
            yield self.until(time + length_ns) - self.until(time)
            start = (time - length_ns) % self._period_ns
            yield self.until(start + length_ns) - self.until(start)


def _judge_trace(shape: Shape, trace: Trace, train: Train) -> Finding | None:
    """The mean over the train has to be that of some part of the trace that is as long."""
    if len(train.received_ns) < _FRAMES_LEAST:
        return None
    length_ns = train.received_ns[-1] - train.received_ns[0]
    passed = list(_Capacity(trace).windows(length_ns))
    counted = 8 * (train.frame_bytes + shape.overhead_bytes)
    low, high = min(passed) - 2 * counted, max(passed) + 2 * counted
    measured = counted * (len(train.received_ns) - 1)
    verdict = AS_ASKED
    if measured > high * (1 + RATE_RATIO):
        verdict = "too high"
    elif measured < low * (1 - RATE_RATIO):
        verdict = TOO_LOW
    return Finding(
        name="rate",
        asked=mean_bps(shape),
        measured=measured * _SECOND / length_ns,
        interval=None,
        verdict=verdict,
        passed=verdict == AS_ASKED,
    )


def _not_busy(shape: Shape, train: Train) -> Finding | None:
    if train.arrived_bps > shape.rate_bps * (1 + RATE_RATIO):
        return Finding(
            name="rate",
            asked=shape.rate_bps,
            measured=train.arrived_bps,
            interval=None,
            verdict="too high",
            passed=False,
        )
    return None


def _rate(frame_bytes: int, times_ns: Sequence[int]) -> float:
    if len(times_ns) < 2 or times_ns[-1] <= times_ns[0]:  # noqa: PLR2004 (a distance takes two)
        return 0.0
    return 8 * frame_bytes * (len(times_ns) - 1) * _SECOND / (times_ns[-1] - times_ns[0])
