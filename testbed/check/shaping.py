"""Judge a token bucket shaper from a train that is sent faster than its peak: bucket, peak, and the rate afterwards.

A shaper sends no more than its bucket holds and its rate for as long as it takes, whatever the machine. While packets
wait and the bucket is empty, it sends exactly that much, so the most that any arrival shows is what the bucket holds.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING

from testbed.check import expected, policing, rates
from testbed.check.capacity import bottleneck_of
from testbed.check.comparing import EARLY_NS, TOO_HIGH, TOO_LOW
from testbed.check.rates import RATE_RATIO, judge_rate, prober_reaches
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured
from testbed.impairments import FixedRate, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.check.rates import Train
    from testbed.impairments import Impairments

DRAINED = 1.1
"""How many times a bucket's contents a train sends before its bottleneck counts as one of constant rate."""

OFFERED_LEAST = 2
"""The ratio of the rate at which a train was really sent to the link's, for a small bucket not to be the machine's."""

_SAME = 1.05
"""The greatest ratio of several measured sizes of a bucket for them to agree."""

_UNEVEN = "packets reach this machine's prober too unevenly to tell"

_FULL = 0.9
"""The part of a bucket's contents for which a train judges the peak."""

_SLACK_FRAMES = 3
_SECOND = 1_000_000_000


def bucket_of(impairments: Impairments) -> TokenBucket:
    """Return the token bucket of a link.

    Raises:
        ValueError: the link has none.
    """
    rate = bottleneck_of(impairments).rate
    if not isinstance(rate, TokenBucket):
        raise ValueError(f"a link without a token bucket: {impairments.describe()}")  # noqa: TRY004  # of a value
    return rate


def drained_ns(bucket: TokenBucket, offered_bps: float) -> int:
    """Return how long it takes to use a bucket up, ns."""
    passing_bps = min(offered_bps, bucket.peak_bps or offered_bps)
    return round(8 * bucket.burst_bytes * _SECOND / (passing_bps - bucket.bps))


def judge_shaper(impairments: Impairments, train: Train, *, level: float) -> tuple[Finding, ...]:
    """Return the findings on a shaper: its rate, what its bucket holds, and its peak if it has one.

    Args:
        impairments: the requested impairments, with a token bucket.
        train: a train that is sent faster than the peak, or several times as fast as the rate.
        level: the probability that a link that is as requested is found wrong.
    """
    bucket = bucket_of(impairments)
    findings = [_judge_rest(impairments, train, level), _judge_bucket(impairments, train)]
    if findings[0].verdict == TOO_HIGH != findings[1].verdict:  # the bucket filled up again while the machine paused
        findings[0] = unmeasured("rate", bucket.bps, _UNEVEN)
    if bucket.peak_bps:
        findings.append(_judge_peak(impairments, train, level))
    return tuple(findings)


def conclude(trains: Sequence[tuple[Finding, ...]]) -> tuple[Finding, ...]:
    """Return the findings that follow from several trains, at least one."""
    return tuple(
        _conclude_bucket(findings)
        if findings[0].name == "bucket"
        else replace(rates.conclude(findings, None), name=findings[0].name)
        for findings in zip(*trains, strict=True)
    )


def _conclude_bucket(findings: Sequence[Finding]) -> Finding:
    """Return the finding on the bucket: it is too small only if several trains agree on its size."""
    found = policing.conclude(findings)
    low = [finding.measured or 0.0 for finding in findings if finding.verdict == TOO_LOW]
    if found.verdict == TOO_LOW and (len(low) == 1 or max(low) > _SAME * min(low)):
        return unmeasured("bucket", found.asked, _UNEVEN)
    return found


def is_conclusive(findings: Sequence[Finding]) -> bool:
    """Return whether findings need no further train."""
    return all(finding.verdict in (AS_REQUESTED, TOO_HIGH) for finding in findings)


def _counted_bits(impairments: Impairments, train: Train) -> int:
    return 8 * (train.frame_bytes + bottleneck_of(impairments).overhead_bytes)


def _judge_rest(impairments: Impairments, train: Train, level: float) -> Finding:
    """Judge the rate by what was sent after the bucket was empty."""
    bucket, bits = bucket_of(impairments), _counted_bits(impairments, train)
    least_ns = drained_ns(bucket, bucket.peak_bps) if bucket.peak_bps else 0
    kept = 1 - expected.of(impairments).loss.rate
    for number, sent_ns in enumerate(train.sent_ns):
        passed_ns = sent_ns - train.sent_ns[0]
        excess_bits = (number + 1) * bits * kept - bucket.bps * passed_ns / _SECOND
        if excess_bits >= DRAINED * 8 * bucket.burst_bytes and passed_ns >= DRAINED * least_ns:
            return judge_rate(impairments, train.part(number, len(train.sent_ns)), level=level)
    return unmeasured("rate", bucket.bps, prober_reaches(train.offered_bps))


def _judge_peak(impairments: Impairments, train: Train, level: float) -> Finding:
    """Judge the peak by what was sent before the bucket was empty."""
    bucket, bottleneck = bucket_of(impairments), bottleneck_of(impairments)
    bits = 8 * bucket.burst_bytes * bucket.peak_bps / (bucket.peak_bps - bucket.bps)
    at_peak = replace(impairments, bottleneck=replace(bottleneck, rate=FixedRate(bps=bucket.peak_bps)))
    first = train.part(0, int(_FULL * bits / _counted_bits(impairments, train)))
    if len(first.sequence) < rates.FRAMES_LEAST:
        return unmeasured("peak", bucket.peak_bps, "its burst is too short to tell")
    return replace(judge_rate(at_peak, first, level=level), name="peak")


def _judge_bucket(impairments: Impairments, train: Train) -> Finding:
    """Judge what the bucket holds: what arrived at most beyond the rate."""
    bucket, bits = bucket_of(impairments), _counted_bits(impairments, train)
    kept = 1 - expected.of(impairments).loss.rate
    offered = max(
        (number + 1) * bits * kept - bucket.bps * (sent_ns - train.sent_ns[0]) / _SECOND
        for number, sent_ns in enumerate(train.sent_ns)
    )
    requested = 8 * bucket.burst_bytes
    slack: float = _SLACK_FRAMES * bits
    if offered < requested + slack or train.offered_bps < OFFERED_LEAST * bucket.bps:
        return unmeasured("bucket", bucket.burst_bytes, prober_reaches(train.offered_bps))
    measured = max((passed for passed in _beyond_rate(impairments, train, bits / kept)), default=0.0)
    slack += 4 * sqrt(len(train.sequence) * (1 - kept)) / kept * bits  # standard deviations of random loss
    verdict = AS_REQUESTED
    if measured > (1 + RATE_RATIO) * requested + slack:
        verdict = TOO_HIGH
    elif measured < (1 - RATE_RATIO) * requested - slack:
        verdict = TOO_LOW
    return Finding(
        name="bucket",
        asked=bucket.burst_bytes,
        measured=max(measured, 0) / 8,
        interval=None,
        verdict=verdict,
        passed=verdict == AS_REQUESTED,
    )


def _beyond_rate(impairments: Impairments, train: Train, bits: float) -> Iterator[float]:
    """Yield by how many bits more arrived until each arrival than the rate sends in that time."""
    bps = bucket_of(impairments).bps
    least_ns = min(at - train.sent_ns[number] for number, at in zip(train.sequence, train.received_ns, strict=True))
    held_ns = min(least_ns, max(round(expected.of(impairments).delays_ns[0]) - EARLY_NS, 0))
    for place, received_ns in enumerate(train.received_ns):
        yield (place + 1) * bits - bps * max(received_ns - held_ns - train.sent_ns[0], 0) / _SECOND
