"""Measured figures compared with requested ones, as far as the size of the sample allows a verdict."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING

from testbed import statistics
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured

if TYPE_CHECKING:
    from testbed.check.processes import Process

CONFIDENCE = 0.99
"""Of the intervals that are shown."""

EARLY_NS = 100_000
"""How much shorter than requested a delay may be: times are taken before sending and after receiving, so nothing that
works measures too short; this leaves room for a kernel's coarse timers."""

LATE_NS = 1_500_000
LATE_RATIO = 0.02
"""How much longer than requested a delay may be, the larger of the two: an idle machine needs a tenth of that to send,
emulate and receive a packet, one with more work than cores about as much. A delay that is off by more is not what was
requested, whatever the cause."""

TOO_LOW, TOO_HIGH = "too low", "too high"
NOTHING_ARRIVES = "nothing arrives"


def late_ns(requested_ns: float) -> float:
    """How much longer than requested a time may be, see `LATE_NS`."""
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
    """Judge a figure: right is whatever may lie within bounds, given how much the sample tells.

    Args:
        name: of the property.
        asked: the figure that was requested.
        measured: the estimate.
        interval: where the true value is, for people to see.
        at_level: where it is, to be judged by.
        least: the smallest value that is right.
        most: the largest value that is right.
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


def share(name: str, requested: Process, count: int, total: int, level: float) -> Finding:
    """Judge a share of packets, as if there were so many fewer as the count varies more than by independent draws."""
    if not total:
        return unmeasured(name, requested.rate, NOTHING_ARRIVES)
    fewer, trials = round(count / requested.inflation), max(round(total / requested.inflation), 1)
    interval = statistics.clopper_pearson(fewer, trials, CONFIDENCE)
    if statistics.binomial_test(fewer, trials, requested.rate) >= level:
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
