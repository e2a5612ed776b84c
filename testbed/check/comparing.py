"""Compare measured values with requested ones, as far as the sample size allows a verdict."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING

from testbed import statistics
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured

if TYPE_CHECKING:
    from testbed.check.random_processes import RandomProcess

CONFIDENCE = 0.99
"""The confidence of the intervals that are shown."""

EARLY_NS = 100_000
"""How much shorter than requested a delay may be. Times are taken before sending and after receiving, so a delay never
measures too short; this leaves room for the kernel's coarse timers."""

LATE_NS = 1_500_000
LATE_RATIO = 0.02
"""How much longer than requested a delay may be; the larger of the two applies. An idle machine needs a tenth of that
to send, emulate and receive a packet, an overloaded one about all of it. A delay that is off by more is not what was
requested, whatever the cause."""

TOO_LOW, TOO_HIGH = "too low", "too high"
NOTHING_ARRIVES = "nothing arrives"


def late_ns(requested_ns: float) -> float:
    """Return how much longer than requested a time may be, see `LATE_NS`."""
    return max(LATE_NS, requested_ns * LATE_RATIO)


def compare(
    name: str,
    *,
    asked: float,
    measured: float,
    interval: tuple[float, float],
    at_level: tuple[float, float],
    least: float,
    most: float,
) -> Finding:
    """Judge a measured value: it is right if its interval overlaps the allowed range.

    Args:
        name: the name of the property.
        asked: the requested value.
        measured: the estimate.
        interval: the confidence interval of the true value that is shown.
        at_level: the confidence interval that decides the verdict.
        least: the smallest right value.
        most: the largest right value.
    """
    if any(map(isinf, at_level)):
        return unmeasured(name, asked, "too few probes arrived")
    verdict = AS_REQUESTED
    if at_level[0] > most:
        verdict = TOO_HIGH
    elif at_level[1] < least:
        verdict = TOO_LOW
    return Finding(
        name=name,
        asked=asked,
        measured=measured,
        interval=None if any(map(isinf, interval)) else interval,
        verdict=verdict,
        passed=verdict == AS_REQUESTED,
    )


def compare_share(name: str, requested: RandomProcess, count: int, total: int, level: float) -> Finding:
    """Judge a share of packets with an exact binomial test on the effective sample size (`RandomProcess.inflation`)."""
    if not total:
        return unmeasured(name, requested.rate, NOTHING_ARRIVES)
    events, trials = round(count / requested.inflation), max(round(total / requested.inflation), 1)
    interval = statistics.clopper_pearson(events, trials, CONFIDENCE)
    if statistics.binomial_test(events, trials, requested.rate) >= level:
        verdict = AS_REQUESTED
    elif not requested.rate and name != "loss":
        verdict = "packets where there should be none"
    else:
        verdict = TOO_HIGH if count > total * requested.rate else TOO_LOW
    return Finding(
        name=name,
        asked=requested.rate,
        measured=count / total,
        interval=interval,
        verdict=verdict,
        passed=verdict == AS_REQUESTED,
    )
