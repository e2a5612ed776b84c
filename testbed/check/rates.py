"""Judge a link's rate from trains of datagrams that are sent faster than the link's rate.

A slow or busy machine makes datagrams late, never early. So a rate is proven too high by the amount that arrived since
it was sent. A rate that is too low may be due to the machine, unless a train of twice as many datagrams of half the
size carries as much: then the machine's packets per second are not the limit. Otherwise the rate is not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from testbed import records, statistics, units
from testbed.check import expected
from testbed.check.capacity import bottleneck_of, bounds, mean_bps
from testbed.check.comparing import CONFIDENCE, EARLY_NS, TOO_HIGH, TOO_LOW, compare
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured
from testbed.families import IPV4, IPV6
from testbed.impairments import CERTAIN, FixedRate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.impairments import Impairments, Trace

RATE_RATIO = 0.02
"""How far a rate may be off, as a ratio."""

PRESSURE = 1.25
"""The ratio of a train's rate to the link's: the queue never runs empty, and does not overflow at once."""

HEADER_BYTES = {IPV4: 42, IPV6: 62}
"""The bytes of the headers of Ethernet, IP and UDP, by family."""

_SHARP = 0.1
"""The greatest width of a measured rate's interval, relative to the rate."""

_SAME = 1.05
"""The greatest ratio of the highest to the lowest of several measured rates for them to agree."""

FRAMES_LEAST = 12
"""The number of frames in a row that a rate is estimated from, at least."""

_QUEUES = 1.1
"""The ratio of the offered rate to a link's rate above which a queue builds up."""

_EDGE_FRAMES = 2
"""The frames in a window of arrivals that may have been sent before it: the first may have been in flight."""

_BURST_NS = 1_000_000
"""The time whose tokens an idle bottleneck may have saved: the bucket of tbf holds as much beside one frame."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """The datagrams of a train and their arrivals.

    Attributes:
        frame_bytes: the size of each frame on the link.
        sent_ns: when each datagram was sent.
        sequence: the number of the datagram of each arrival, in order of arrival; duplicates too.
        received_ns: the time of each arrival.
    """

    frame_bytes: int
    sent_ns: Sequence[int]
    sequence: Sequence[int]
    received_ns: Sequence[int]

    @property
    def offered_bps(self) -> float:
        """The rate at which the train was sent, apart from pauses of the machine: a median."""
        steps = sorted(
            later - earlier for earlier, later in zip(self.sent_ns, self.sent_ns[FRAMES_LEAST:], strict=False)
        )
        return 8 * self.frame_bytes * FRAMES_LEAST * _SECOND / max(statistics.quantile(steps, 0.5), 1)

    def settled(self) -> Train:
        """Return the second half of the train: the first half has emptied a token bucket that was full."""
        return self.part(len(self.sent_ns) // 2, len(self.sent_ns))

    def part(self, first: int, end: int) -> Train:
        """Return the datagrams of the train from number `first` to before `end`."""
        arrivals = zip(self.sequence, self.received_ns, strict=True)
        arrived = [(number, at) for number, at in arrivals if first <= number < end]
        return Train(
            frame_bytes=self.frame_bytes,
            sent_ns=self.sent_ns[first:end],
            sequence=[number - first for number, _ in arrived],
            received_ns=[at for _, at in arrived],
        )

    def backlog_bytes(self, impairments: Impairments) -> float:
        """Return the longest queue that the train would make at the link's bottleneck if the queue had no limit."""
        bottleneck = bottleneck_of(impairments)
        counted = self.frame_bytes + bottleneck.overhead_bytes
        per_ns = bottleneck.rate.mean_bps / (8 * _SECOND)
        kept = 1 - expected.of(impairments).loss.rate
        backlog = most = 0.0
        for earlier, later in pairwise(self.sent_ns):
            backlog = max(backlog - (later - earlier) * per_ns, 0.0) + counted * kept
            most = max(most, backlog)
        return most * self.frame_bytes / counted

    def busy(self, impairments: Impairments) -> Sequence[int]:
        """Return the arrival times of the longest period in which the bottleneck was certainly never idle.

        It was busy between two arrivals if the later datagram had reached it before the earlier one left it.
        """
        longest_ns = expected.longest_ns(impairments)
        best, start = (0, 0), 0
        for place in range(1, len(self.sequence) + 1):
            if place < len(self.sequence):
                reached_ns = self.sent_ns[self.sequence[place]] + longest_ns
                if reached_ns <= self.received_ns[place - 1]:
                    continue
            best = max(best, (place - start, start))
            start = place
        length, start = best
        return self.received_ns[start : start + length]


def prober_reaches(rate_bps: float) -> str:
    """Return the reason that a rate was not measured: the machine is not fast enough."""
    return f"this machine's prober reaches {units.RATE.format(_three_digits(rate_bps))}"


def judge_rate(impairments: Impairments, train: Train, *, level: float) -> Finding:
    """Return the finding on a link's rate; without a measured value, and with the reason, if the train proves nothing.

    Args:
        impairments: the requested impairments, with a bottleneck.
        train: a train sent at `PRESSURE` times the rate.
        level: the probability that a link that is as requested is found wrong.
    """
    rate = bottleneck_of(impairments).rate
    if not isinstance(rate, FixedRate):
        return _judge_trace(impairments, rate, train)
    requested_bps = rate.bps
    arrivals = train.busy(impairments)
    estimated = (
        _estimated(requested_bps, _bits(impairments, train), arrivals, level) if len(arrivals) >= FRAMES_LEAST else None
    )
    proven_bps = max((bits * _SECOND / time_ns for bits, time_ns in _windows(impairments, train)), default=0.0)
    if proven_bps > requested_bps * (1 + RATE_RATIO):
        if estimated is not None and estimated.verdict == TOO_HIGH:
            return estimated
        return Finding(
            name="rate",
            asked=requested_bps,
            measured=proven_bps,
            interval=None,
            verdict=TOO_HIGH,
            passed=False,
        )
    offered_bps = train.offered_bps * (1 - expected.of(impairments).loss.rate)
    if estimated is not None and _is_conclusive(estimated, offered_bps):
        return estimated
    reached_bps = min(carried(impairments, train), offered_bps)
    if reached_bps < requested_bps * (1 - RATE_RATIO) or offered_bps < requested_bps * (1 + PRESSURE) / 2:
        return unmeasured("rate", requested_bps, prober_reaches(reached_bps))
    return unmeasured("rate", requested_bps, "packets reach this machine's prober too unevenly to tell")


def _is_conclusive(estimated: Finding, offered_bps: float) -> bool:
    """Return whether an estimate supports its verdict.

    Only `_windows` proves a rate too high. A rate as low as the offered one may be due to the machine.
    """
    if estimated.measured is None or width(estimated) > _SHARP * estimated.asked:
        return False
    off = abs(estimated.measured - estimated.asked) > RATE_RATIO * estimated.asked
    if off:
        return estimated.verdict == TOO_LOW and estimated.measured * _QUEUES < offered_bps
    return estimated.passed


def _estimated(requested_bps: int, bits: float, arrivals: Sequence[int], level: float) -> Finding:
    """Return the finding on the rate by Theil's incomplete method: the median of the slopes over disjoint pairs.

    A few late arrivals do not change the median, however late they are.
    """
    half = len(arrivals) // 2
    gaps = sorted(arrivals[place + half] - arrivals[place] for place in range(half))

    def rate(gap_ns: float) -> float:
        return half * bits * _SECOND / max(gap_ns, 1)

    def interval(confidence: float) -> tuple[float, float]:
        low, high = statistics.quantile_interval(gaps, 0.5, confidence)
        return rate(min(high, gaps[-1])), rate(max(low, gaps[0]))

    return compare(
        "rate",
        asked=requested_bps,
        measured=rate(statistics.quantile(gaps, 0.5)),
        interval=interval(CONFIDENCE),
        at_level=interval(1 - level),
        least=requested_bps * (1 - RATE_RATIO),
        most=requested_bps * (1 + RATE_RATIO),
    )


def conclude(findings: Sequence[Finding], smaller: Finding | None) -> Finding:
    """Return the finding that follows from several trains over one link.

    One train that shows the requested rate is enough, as is one that proves a higher rate. A lower rate may be due to a
    slow machine, unless all trains with a measured value agree on it, including one of half-size datagrams.

    Args:
        findings: those of trains of full datagrams; at least one.
        smaller: that of a train of half-size datagrams; None if the datagrams can't be halved.
    """
    for proven in (AS_REQUESTED, TOO_HIGH):
        conclusive = [finding for finding in findings if finding.verdict == proven]
        if conclusive:
            return min(conclusive, key=width)
    low = [finding for finding in findings if finding.verdict == TOO_LOW]
    if not low:
        return findings[-1]
    best = min(low, key=width)
    everything = low if smaller is None else [*low, smaller]
    rates_bps = [finding.measured or 0.0 for finding in everything]
    if len(low) > 1 and max(rates_bps) <= _SAME * min(rates_bps):
        return best
    return unmeasured("rate", best.asked, prober_reaches(max(rates_bps)))


def carried(impairments: Impairments, train: Train) -> float:
    """Return the mean rate of the part of a train that arrived, in bit/s."""
    times_ns = train.received_ns
    if len(times_ns) < 2 or times_ns[-1] <= times_ns[0]:  # noqa: PLR2004 (a distance takes two)
        return 0.0
    return _bits(impairments, train) * (len(times_ns) - 1) * _SECOND / (times_ns[-1] - times_ns[0])


def width(finding: Finding) -> float:
    """Return the width of a finding's interval; 0 if it has none."""
    return finding.interval[1] - finding.interval[0] if finding.interval else 0.0


def is_sharp(finding: Finding) -> bool:
    """Return whether the interval of a rate is narrow enough to need no further train."""
    return finding.measured is not None and width(finding) <= 2 * RATE_RATIO * finding.asked


def _bits(impairments: Impairments, train: Train) -> float:
    """Return the bits that the bottleneck sends per datagram that arrives intact: it also sends corrupted ones."""
    corrupted = impairments.corruption.event.probability / CERTAIN if impairments.corruption else 0
    return 8 * (train.frame_bytes + bottleneck_of(impairments).overhead_bytes) / (1 - corrupted)


def _windows(impairments: Impairments, train: Train) -> Iterator[tuple[float, int]]:
    """Yield numbers of bits that the bottleneck certainly sent, each with the longest time this can have taken, in ns.

    All datagrams that arrived in a window were sent after the first of them, and left the bottleneck before the last of
    them arrived, earlier by at least the shortest delay of the link. The windows begin or end with the train.
    """
    _, deliveries = records.match(train.sent_ns, train.sequence, train.received_ns)
    if len(deliveries.seq) < FRAMES_LEAST:
        return
    sent_ns, received_ns = deliveries.sent_ns, deliveries.received_ns
    shortest_ns = min(deliveries.latencies_ns)
    ahead = impairments.reorder and not impairments.reorder.late_ns
    held_ns = 0 if ahead else min(shortest_ns, max(round(expected.of(impairments).delays_ns[0]) - EARLY_NS, 0))
    bits = 8 * (train.frame_bytes + bottleneck_of(impairments).overhead_bytes)
    earliest_ns = sent_ns[0]
    for place, (sent, received) in enumerate(zip(sent_ns, received_ns, strict=True)):
        earliest_ns = min(earliest_ns, sent)
        if place >= FRAMES_LEAST:
            yield (place + 1 - _EDGE_FRAMES) * bits, max(received - held_ns - earliest_ns, 0) + _BURST_NS
    earliest_ns = sent_ns[-1]
    for place, sent in enumerate(reversed(sent_ns)):
        earliest_ns = min(earliest_ns, sent)
        if place >= FRAMES_LEAST:
            yield (place + 1 - _EDGE_FRAMES) * bits, max(received_ns[-1] - held_ns - earliest_ns, 0) + _BURST_NS


def _judge_trace(impairments: Impairments, trace: Trace, train: Train) -> Finding:
    """Judge a trace: the mean rate of the train must be that of some window of the trace of the same length."""
    mean = mean_bps(trace)
    if len(train.received_ns) < FRAMES_LEAST:
        return unmeasured("rate", mean, "too few datagrams arrived")
    length_ns = train.received_ns[-1] - train.received_ns[0]
    fewest, most = bounds(trace, length_ns)
    counted = 8 * (train.frame_bytes + bottleneck_of(impairments).overhead_bytes)
    bits = counted * (len(train.received_ns) - 1)
    verdict = AS_REQUESTED
    if bits < (fewest - 2 * counted) * (1 - RATE_RATIO):
        verdict = TOO_LOW
    elif bits > (most + 2 * counted) * (1 + RATE_RATIO):
        *_, (sent_bits, time_ns) = _windows(impairments, train)
        if sent_bits <= (bounds(trace, time_ns)[1] + 2 * counted) * (1 + RATE_RATIO):
            return unmeasured("rate", mean, "packets reach this machine's prober too unevenly to tell")
        verdict = TOO_HIGH
    return Finding(
        name="rate",
        asked=mean,
        measured=bits * _SECOND / length_ns,
        interval=None,
        verdict=verdict,
        passed=verdict == AS_REQUESTED,
        asked_range=(fewest * _SECOND / length_ns, most * _SECOND / length_ns),
    )


def _three_digits(rate_bps: float) -> int:
    return int(float(f"{rate_bps:.3g}"))
