"""Findings on a link's rate, from trains of datagrams that come faster than it sends.

A machine that is too slow or too busy makes datagrams late, never early. So a rate that is too high is proven by how
much arrived since it was sent. A rate that is too low may be the machine's, unless a train with twice as many datagrams
of half the size carries as much: then packets per second are not what limits it. What neither shows is not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from testbed import records, statistics, units
from testbed.check import expected
from testbed.check.capacity import Capacity, bottleneck_of, mean_bps
from testbed.check.comparing import CONFIDENCE, EARLY_NS, TOO_HIGH, TOO_LOW, compare
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured
from testbed.impairments import CERTAIN, FixedRate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.impairments import Impairments, Trace

RATE_RATIO = 0.02
"""How far off a rate may be."""

PRESSURE = 1.25
"""How many times what the link carries a train brings: the queue never runs empty, nor does it overflow at once."""

HEADER_BYTES = 42
"""Of Ethernet, IPv4 and UDP."""

_SHARP = 0.1
"""How wide the interval of a rate may be, of the rate, for it to count as measured."""

_SAME = 1.05
"""How many times the least of several measured rates the greatest may be for all of them to be the link's."""

_FRAMES_LEAST = 12
"""In a row, to tell a rate from."""

_QUEUES = 1.1
"""How many times what a link carries has to be offered for a queue to build up before it."""

_EDGE_FRAMES = 2
"""Frames that a window of arrivals may hold beyond what was sent meanwhile: the first may have been under way."""

_BURST_NS = 1_000_000
"""How long a bottleneck may have saved up for: the bucket of tbf gains as much beside a frame when it was idle."""

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

    def backlog_bytes(self, impairments: Impairments) -> float:
        """The most that would wait at the link's bottleneck before a queue without end."""
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
        """Arrival times from the longest stretch in which the bottleneck was surely never idle.

        It was busy between two arrivals if the later datagram had come to it before the earlier one left it.
        """
        longest_ns = expected.longest_ns(impairments)
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


def prober_reaches(rate_bps: float) -> str:
    """Why a rate was not measured: the machine is not fast enough."""
    return f"this machine's prober reaches {units.RATE.format(_three_digits(rate_bps))}"


def judge_rate(impairments: Impairments, train: Train, *, level: float) -> Finding:
    """Judge a link's rate; where the train does not tell, the finding has no figure and says why.

    Args:
        impairments: what was requested, with a bottleneck.
        train: sent at `PRESSURE` times the rate.
        level: the probability with which a link that is as requested may be found wrong.
    """
    rate = bottleneck_of(impairments).rate
    if not isinstance(rate, FixedRate):
        return _judge_trace(impairments, rate, train)
    requested_bps = rate.bps
    arrivals = train.busy(impairments)
    estimated = (
        _estimated(requested_bps, _bits(impairments, train), arrivals, level)
        if len(arrivals) >= _FRAMES_LEAST
        else None
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
    if estimated is not None and _tells(estimated, offered_bps):
        return estimated
    reached_bps = min(carried(impairments, train), offered_bps)
    if reached_bps < requested_bps * (1 - RATE_RATIO) or offered_bps < requested_bps * (1 + PRESSURE) / 2:
        return unmeasured("rate", requested_bps, prober_reaches(reached_bps))
    return unmeasured("rate", requested_bps, "packets reach this machine's prober too unevenly to tell")


def _tells(estimated: Finding, offered_bps: float) -> bool:
    """Whether an estimate is good enough for its verdict.

    A rate that is not proven too high is not too high; one that is as low as what was offered need not be the link's.
    """
    if estimated.measured is None or width(estimated) > _SHARP * estimated.asked:
        return False
    off = abs(estimated.measured - estimated.asked) > RATE_RATIO * estimated.asked
    if off:
        return estimated.verdict == TOO_LOW and estimated.measured * _QUEUES < offered_bps
    return estimated.passed


def _estimated(requested_bps: int, bits: float, arrivals: Sequence[int], level: float) -> Finding:
    """The rate by Theil's incomplete method: slopes over disjoint pairs.

    Their median minds neither late arrivals nor how late.
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
    """The finding that several trains over one link come to.

    One that shows the requested rate is enough, as is one that proves more. Less is a slow machine's doing unless all
    that have a figure agree on it, datagrams of half the size among them.

    Args:
        findings: of trains of full datagrams, not empty.
        smaller: of a train of datagrams of half the size; None where they can't be halved.
    """
    for proven in (AS_REQUESTED, TOO_HIGH):
        found = [each for each in findings if each.verdict == proven]
        if found:
            return min(found, key=width)
    low = [each for each in findings if each.verdict == TOO_LOW]
    if not low:
        return findings[-1]
    best = min(low, key=width)
    everything = low if smaller is None else [*low, smaller]
    rates_bps = [each.measured or 0.0 for each in everything]
    if len(low) > 1 and max(rates_bps) <= _SAME * min(rates_bps):
        return best
    return unmeasured("rate", best.asked, prober_reaches(max(rates_bps)))


def carried(impairments: Impairments, train: Train) -> float:
    """What a link carried of a train, on the whole, bit/s."""
    times_ns = train.received_ns
    if len(times_ns) < 2 or times_ns[-1] <= times_ns[0]:  # noqa: PLR2004 (a distance takes two)
        return 0.0
    return _bits(impairments, train) * (len(times_ns) - 1) * _SECOND / (times_ns[-1] - times_ns[0])


def width(finding: Finding) -> float:
    """How wide a finding's interval is; 0 where it has none."""
    return finding.interval[1] - finding.interval[0] if finding.interval else 0.0


def is_sharp(finding: Finding) -> bool:
    """Whether a finding on a rate tells as much as it has to."""
    return finding.measured is not None and width(finding) <= 2 * RATE_RATIO * finding.asked


def _bits(impairments: Impairments, train: Train) -> float:
    """Bits that the bottleneck sends per datagram that arrives: corrupted ones are sent like any other."""
    corrupted = impairments.corruption.event.probability / CERTAIN if impairments.corruption else 0
    return 8 * (train.frame_bytes + bottleneck_of(impairments).overhead_bytes) / (1 - corrupted)


def _windows(impairments: Impairments, train: Train) -> Iterator[tuple[float, int]]:
    """Bits that the bottleneck surely sent, and the longest time that it can have taken for them, ns.

    All datagrams that arrived in a window were sent after the first of them was, and left the bottleneck before the
    last of them arrived, by the shortest time that the link holds a datagram. The windows end with the train, or begin
    with it.
    """
    _, deliveries = records.match(train.sent_ns, train.sequence, train.received_ns)
    if len(deliveries.seq) < _FRAMES_LEAST:
        return
    sent_ns, received_ns = deliveries.sent_ns, deliveries.received_ns
    shortest_ns = min(deliveries.latencies_ns)
    ahead = impairments.reorder and not impairments.reorder.late_ns
    held_ns = 0 if ahead else min(shortest_ns, max(round(expected.of(impairments).delays_ns[0]) - EARLY_NS, 0))
    bits = 8 * (train.frame_bytes + bottleneck_of(impairments).overhead_bytes)
    earliest_ns = sent_ns[0]
    for place, (sent, received) in enumerate(zip(sent_ns, received_ns, strict=True)):
        earliest_ns = min(earliest_ns, sent)
        if place >= _FRAMES_LEAST:
            yield (place + 1 - _EDGE_FRAMES) * bits, max(received - held_ns - earliest_ns, 0) + _BURST_NS
    earliest_ns = sent_ns[-1]
    for place, sent in enumerate(reversed(sent_ns)):
        earliest_ns = min(earliest_ns, sent)
        if place >= _FRAMES_LEAST:
            yield (place + 1 - _EDGE_FRAMES) * bits, max(received_ns[-1] - held_ns - earliest_ns, 0) + _BURST_NS


def _judge_trace(impairments: Impairments, trace: Trace, train: Train) -> Finding:
    """The mean over the train has to be that of some part of the trace that is as long."""
    mean = mean_bps(trace)
    if len(train.received_ns) < _FRAMES_LEAST:
        return unmeasured("rate", mean, "too few datagrams arrived")
    length_ns = train.received_ns[-1] - train.received_ns[0]
    capacity = Capacity(trace)
    passed = list(capacity.windows(length_ns))
    counted = 8 * (train.frame_bytes + bottleneck_of(impairments).overhead_bytes)
    bits = counted * (len(train.received_ns) - 1)
    verdict = AS_REQUESTED
    if bits < (min(passed) - 2 * counted) * (1 - RATE_RATIO):
        verdict = TOO_LOW
    elif bits > (max(passed) + 2 * counted) * (1 + RATE_RATIO):
        *_, (sent_bits, time_ns) = _windows(impairments, train)
        if sent_bits <= (max(capacity.windows(time_ns)) + 2 * counted) * (1 + RATE_RATIO):
            return unmeasured("rate", mean, "packets reach this machine's prober too unevenly to tell")
        verdict = TOO_HIGH
    return Finding(
        name="rate",
        asked=mean,
        measured=bits * _SECOND / length_ns,
        interval=None,
        verdict=verdict,
        passed=verdict == AS_REQUESTED,
        asked_range=(min(passed) * _SECOND / length_ns, max(passed) * _SECOND / length_ns),
    )


def _three_digits(rate_bps: float) -> int:
    return int(float(f"{rate_bps:.3g}"))
