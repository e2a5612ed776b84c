"""Findings on a link's delay and jitter, from probes that do not disturb each other."""

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
    from testbed.check.samples import Sample
    from testbed.impairments import Impairments

TAIL_LATE_NS = 5_000_000
TAIL_LATE_RATIO = 0.1
"""How late the 95th percentile may be: what `testbed.check.trust` allows an engine for 99 packets of 100. More is
reported, but is no fault of the link: a machine with other things to do is as late as that at times."""

_MOST_DISPLACED = 0.5
"""The share of packets out of place up to which the others can be told by their rank alone."""


def judge_delays(impairments: Impairments, expected: Expected, sample: Sample, level: float) -> list[Finding]:
    """Judge delay, jitter and, where there is jitter, its distribution, of the packets that keep their place."""
    requested = expected.delays_ns
    if not sample.delays_ns:
        return _unmeasured(impairments, NOTHING_ARRIVES)
    kept = _in_place(impairments, expected, sample)
    if not kept:
        return _unmeasured(impairments, "the packets that keep their place can't be told from the others")
    measured = sorted(kept[:: expectations.thinning(impairments)])
    wait_ns = expectations.bottleneck_wait_ns(impairments)
    allowed_ns = wait_ns + late_ns(statistics.quantile(requested, 0.5))
    delay = _delay(impairments, requested, measured, level, allowed_ns)
    findings = [delay, *(_tail(requested, measured, level, wait_ns) if delay.passed else [])]
    findings.append(_jitter(impairments, requested, measured, level, wait_ns))
    if wait_ns > late_ns(impairments.delay_ns):
        findings = [_with_wait(each, wait_ns) for each in findings]
    if impairments.jitter:
        findings.append(_distribution(requested, measured, level, late=allowed_ns))
    return findings


def _unmeasured(impairments: Impairments, why: str) -> list[Finding]:
    return [unmeasured("delay", impairments.delay_ns, why), unmeasured("jitter", impairments.jitter_ns, why)]


def _in_place(impairments: Impairments, expected: Expected, sample: Sample) -> Sequence[int]:
    """The delays of packets that keep their place; none where they can't be told from the others.

    Those that leave their place are told by their delay where it differs by so much that no late machine blurs it, else
    by their number: they are the fastest, or the slowest.
    """
    delays = sample.delays_ns
    if not impairments.reorder:
        return delays
    ahead = not impairments.reorder.late_ns
    displacement_ns = impairments.delay_ns if ahead else impairments.reorder.late_ns
    if displacement_ns >= 2 * LATE_NS:
        if ahead:
            return [each for each in delays if each >= displacement_ns / 2]
        return [each for each in delays if each < impairments.delay_ns + displacement_ns / 2]
    if expected.displaced.rate > _MOST_DISPLACED:
        return []
    by_delay = sorted(range(len(delays)), key=delays.__getitem__, reverse=not ahead)
    places = sorted(by_delay[round(expected.displaced.rate * len(delays)) :])
    return [delays[place] for place in places]


def _delay(
    impairments: Impairments, requested: Sequence[float], measured: Sequence[int], level: float, allowed_ns: float
) -> Finding:
    """The median delay, with what the distribution of the jitter adds to it taken off: the `delay` of the file."""
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
        least=impairments.delay_ns - EARLY_NS,
        most=impairments.delay_ns + allowed_ns,
    )


def _tail(requested: Sequence[float], measured: Sequence[int], level: float, wait_ns: float) -> list[Finding]:
    """The 95th percentile, where the sample is large enough to say anything of it."""
    at_level = statistics.quantile_interval(measured, 0.95, 1 - level)
    if any(map(isinf, at_level)):
        return []
    value = statistics.quantile(requested, 0.95)
    found = compare(
        "delay_p95",
        asked=value,
        measured=statistics.quantile(measured, 0.95),
        interval=statistics.quantile_interval(measured, 0.95, CONFIDENCE),
        at_level=at_level,
        least=value - EARLY_NS,
        most=value + wait_ns + max(TAIL_LATE_NS, value * TAIL_LATE_RATIO),
    )
    if found.verdict == TOO_HIGH:
        return [replace(found, verdict="late: this machine is busy", passed=True)]
    return [found]


def _jitter(
    impairments: Impairments, requested: Sequence[float], measured: Sequence[int], level: float, wait_ns: float
) -> Finding:
    """The jitter of the file, estimated from the distance of the quartiles, which a few late packets don't change.

    Of a uniform distribution that distance is the jitter itself, of a normal one 1.35 times the jitter, and so on.
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
    """The interval of the interquartile range: each quartile may miss its own with half of the probability."""
    each = (1 + confidence) / 2
    first = statistics.quantile_interval(ordered, 0.25, each)
    third = statistics.quantile_interval(ordered, 0.75, each)
    return max(third[0] - first[1], 0.0), third[1] - first[0]


def _with_wait(finding: Finding, wait_ns: float) -> Finding:
    """The finding with the range that a lone probe's wait for the bottleneck makes of the requested time."""
    return replace(finding, asked_range=(finding.asked, finding.asked + wait_ns))


def _distribution(requested: Sequence[float], measured: Sequence[int], level: float, *, late: float) -> Finding:
    distance = statistics.distance_beyond(measured, requested, early=EARLY_NS, late=late)
    passed = statistics.distance_test(distance, len(measured)) >= level
    return Finding(
        name="distribution",
        asked=0,
        measured=statistics.distance_beyond(measured, requested, early=0, late=0),
        interval=None,
        verdict=AS_REQUESTED if passed else "is another one",
        passed=passed,
    )
