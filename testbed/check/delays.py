"""Judge a link's delay and jitter from probes that do not disturb each other."""

from __future__ import annotations

from dataclasses import replace
from math import isinf
from typing import TYPE_CHECKING

from testbed import statistics
from testbed.check import expected as expectations
from testbed.check.comparing import (
    CONFIDENCE,
    EARLY_NS,
    LATE_NS,
    NOTHING_ARRIVES,
    TOO_HIGH,
    compare,
    late_ns,
)
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.check.expected import Expected
    from testbed.check.samples import ProbeSample
    from testbed.impairments import Impairments

TAIL_LATE_NS = 5_000_000
TAIL_LATE_RATIO = 0.1
"""How late the 95th percentile may be: as late as `testbed.check.trust` allows 99 of 100 packets to be. More is
reported, but does not fail the link, since a busy machine is sometimes that late."""

_MOST_DISPLACED = 0.5
"""The share of displaced packets up to which the others can be identified by rank alone."""


def judge_delays(impairments: Impairments, expected: Expected, sample: ProbeSample, level: float) -> list[Finding]:
    """Return the findings on delay, jitter and, if there is jitter, its distribution, from packets in their place."""
    requested = expected.delays_ns
    if not sample.delays_ns:
        return _unmeasured(impairments, NOTHING_ARRIVES)
    kept = _in_place(impairments, expected, sample)
    if not kept:
        return _unmeasured(impairments, "the packets that keep their place can't be distinguished from the others")
    measured = sorted(kept[:: expectations.thinning(impairments)])
    wait_ns = expectations.bottleneck_wait_ns(impairments)
    early_ns = EARLY_NS + sample.uncertain_ns
    allowed_ns = wait_ns + late_ns(statistics.quantile(requested, 0.5)) + sample.uncertain_ns
    delay = judge_delay(impairments, requested, measured, level, allowed_ns, early_ns=early_ns)
    tail = _tail(requested, measured, level, wait_ns + sample.uncertain_ns, early_ns) if delay.passed else []
    findings = [delay, *tail]
    findings.append(_jitter(impairments, requested, measured, level, wait_ns))
    if wait_ns > late_ns(impairments.delay_ns):
        findings = [_with_wait(finding, wait_ns) for finding in findings]
    if impairments.jitter:
        findings.append(_distribution(requested, measured, level, early=early_ns, late=allowed_ns))
    return findings


def _unmeasured(impairments: Impairments, why: str) -> list[Finding]:
    return [unmeasured("delay", impairments.delay_ns, why), unmeasured("jitter", impairments.jitter_ns, why)]


def _in_place(impairments: Impairments, expected: Expected, sample: ProbeSample) -> Sequence[int]:
    """Return the delays of the packets in their place; nothing if they can't be distinguished from the displaced ones.

    Displaced packets are identified by their delay if it differs by more than a busy machine's lateness. Otherwise the
    expected number of the fastest packets, or of the slowest ones, are taken to be displaced.
    """
    delays = sample.delays_ns
    if not impairments.reorder:
        return delays
    ahead = not impairments.reorder.late_ns
    displacement_ns = impairments.delay_ns if ahead else impairments.reorder.late_ns
    if displacement_ns >= 2 * LATE_NS:
        if ahead:
            return [delay_ns for delay_ns in delays if delay_ns >= displacement_ns / 2]
        return [delay_ns for delay_ns in delays if delay_ns < impairments.delay_ns + displacement_ns / 2]
    if expected.displaced.rate > _MOST_DISPLACED:
        return []
    by_delay = sorted(range(len(delays)), key=delays.__getitem__, reverse=not ahead)
    places = sorted(by_delay[round(expected.displaced.rate * len(delays)) :])
    return [delays[place] for place in places]


def judge_delay(
    impairments: Impairments,
    requested: Sequence[float],
    measured: Sequence[int],
    level: float,
    allowed_ns: float,
    *,
    early_ns: float = EARLY_NS,
) -> Finding:
    """Judge the median delay less the median of the jitter, which is the `delay` of the file."""
    median = statistics.quantile(requested, 0.5)
    shift = impairments.delay_ns - median

    def shifted(interval: tuple[float, float]) -> tuple[float, float]:
        return interval[0] + shift, interval[1] + shift

    return compare(
        "delay",
        asked=impairments.delay_ns,
        measured=statistics.quantile(measured, 0.5) + shift,
        interval=shifted(statistics.quantile_interval(measured, 0.5, CONFIDENCE)),
        at_level=shifted(statistics.quantile_interval(measured, 0.5, 1 - level)),
        least=impairments.delay_ns - early_ns,
        most=impairments.delay_ns + allowed_ns,
    )


def _tail(
    requested: Sequence[float], measured: Sequence[int], level: float, wait_ns: float, early_ns: float
) -> list[Finding]:
    """Judge the 95th percentile; return nothing if the sample is too small for an interval."""
    at_level = statistics.quantile_interval(measured, 0.95, 1 - level)
    if any(map(isinf, at_level)):
        return []
    value = statistics.quantile(requested, 0.95)
    finding = compare(
        "delay_p95",
        asked=value,
        measured=statistics.quantile(measured, 0.95),
        interval=statistics.quantile_interval(measured, 0.95, CONFIDENCE),
        at_level=at_level,
        least=value - early_ns,
        most=value + wait_ns + max(TAIL_LATE_NS, value * TAIL_LATE_RATIO),
    )
    if finding.verdict == TOO_HIGH:
        return [replace(finding, verdict="late: this machine is busy", passed=True)]
    return [finding]


def _jitter(
    impairments: Impairments, requested: Sequence[float], measured: Sequence[int], level: float, wait_ns: float
) -> Finding:
    """Judge the `jitter` of the file by the interquartile range, which a few late packets don't change.

    For a uniform distribution that range equals the jitter, for a normal one it is 1.35 times the jitter.
    """
    distance = statistics.quantile(requested, 0.75) - statistics.quantile(requested, 0.25)
    per_jitter = distance / impairments.jitter_ns if impairments.jitter_ns else 1.0
    if not per_jitter:
        return unmeasured("jitter", impairments.jitter_ns, "half of the packets have the same delay")

    def scaled(interval: tuple[float, float]) -> tuple[float, float]:
        return interval[0] / per_jitter, interval[1] / per_jitter

    estimate = statistics.quantile(measured, 0.75) - statistics.quantile(measured, 0.25)
    return compare(
        "jitter",
        asked=impairments.jitter_ns,
        measured=estimate / per_jitter,
        interval=scaled(_middle_interval(measured, CONFIDENCE)),
        at_level=scaled(_middle_interval(measured, 1 - level)),
        least=(distance - EARLY_NS) / per_jitter,
        most=(distance + wait_ns + late_ns(distance)) / per_jitter,
    )


def _middle_interval(ordered: Sequence[int], confidence: float) -> tuple[float, float]:
    """Return a confidence interval of the interquartile range; the two quartiles share the error probability."""
    per_quartile = (1 + confidence) / 2
    first = statistics.quantile_interval(ordered, 0.25, per_quartile)
    third = statistics.quantile_interval(ordered, 0.75, per_quartile)
    return max(third[0] - first[1], 0.0), third[1] - first[0]


def _with_wait(finding: Finding, wait_ns: float) -> Finding:
    """Return the finding with the time that a lone probe may wait at the bottleneck in its requested range."""
    return replace(finding, asked_range=(finding.asked, finding.asked + wait_ns))


def _distribution(
    requested: Sequence[float], measured: Sequence[int], level: float, *, early: float, late: float
) -> Finding:
    distance = statistics.distance_beyond(measured, requested, early=early, late=late)
    passed = statistics.distance_test(distance, len(measured)) >= level
    ks_distance = statistics.distance_beyond(measured, requested, early=0, late=0)
    return Finding(
        name="distribution",
        asked=0,
        measured=ks_distance,
        interval=None,
        verdict=AS_REQUESTED if passed else f"differs from the requested one (KS distance {ks_distance:.2f})",
        passed=passed,
    )
