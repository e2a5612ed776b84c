"""Findings on delay, jitter, loss and what else single probes tell of a link."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isinf
from typing import TYPE_CHECKING

from testbed import statistics
from testbed.check import expected as expectations
from testbed.check import processes
from testbed.check.verdict import AS_ASKED, Finding, unmeasured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.check.expected import Expected
    from testbed.check.processes import Process
    from testbed.shape import Shape

CONFIDENCE = 0.99
"""Of the intervals that are shown."""

EARLY_NS = 100_000
"""How much less than asked a delay may be: times are taken before sending and after receiving, so nothing that works
measures too short; this leaves room for a kernel's coarse timers."""

LATE_NS = 1_500_000
LATE_RATIO = 0.02
"""How much more than asked a delay may be, the larger of the two: what it takes on an idle machine to send, emulate and
receive a packet is a tenth of that, on one with more work than cores about as much. A delay that is off by more is no
longer what was asked for, whoever's fault it is."""

TAIL_LATE_NS = 5_000_000
TAIL_LATE_RATIO = 0.1
"""The same for the 95th percentile: what `testbed.check.trust` grants an engine for 99 packets of 100. More is
said, but it is no fault of the link: a machine with other things to do is as late as that at times."""

TIMING = ("delay", "jitter", "distribution")
"""Findings that a machine with other things to do makes worse."""

TOO_LOW, TOO_HIGH = "too low", "too high"
_NOTHING_ARRIVES = "nothing arrives"
_TOO_FEW = "too few probes arrived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What became of the probes of one link.

    Attributes:
        sent: how many there were.
        arrived: how many arrived.
        delays_ns: of those of them that were sent far enough apart, in the order of sending.
        runs: how many times one or more in a row did not arrive.
        duplicates: arrivals of one that had arrived before.
        reordered: arrivals behind one that was sent later (RFC 4737).
        overtaking: arrivals before one that was sent earlier.
        interval_ns: between two of them.
        strangers: arrivals that are none of the probes as they were sent.
        scripted: how many may have been dropped by script at most.
    """

    sent: int
    arrived: int
    delays_ns: Sequence[int]
    runs: int
    duplicates: int = 0
    reordered: int = 0
    overtaking: int = 0
    interval_ns: int = 2_000_000
    strangers: int = 0
    scripted: int = 0

    def with_losses_of(self, other: Sample) -> Sample:
        """The same delays, but losses and whatever else is counted from both."""
        counts = ("sent", "arrived", "runs", "duplicates", "reordered", "overtaking", "strangers")
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in counts})


def judge(shape: Shape, sample: Sample, *, level: float) -> tuple[Finding, ...]:
    """The findings on a link, but for its bottleneck.

    Args:
        shape: what was asked for.
        sample: probes, so far apart that none was held up by the one before.
        level: the probability with which a link that is as asked may be found wrong, per property.
    """
    expected = expectations.of(shape)
    findings = [*_delays(shape, expected, sample, level), *_losses(expected, sample, level)]
    findings.append(_share("duplicates", expected.duplicates, sample.duplicates, sample.arrived, level))
    if shape.reorder:
        findings.append(_displaced(shape, expected, sample, level))
    elif shape.variation.keeps_order or not shape.jitter_ns:
        findings.append(_share("reordered", processes.NEVER, sample.reordered, sample.arrived, level))
    if expected.corrupted.rate:
        came = sample.arrived + sample.strangers
        findings.append(_share("corruption", expected.corrupted, sample.strangers, came, level))
    return tuple(findings)


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
    """Right is what may be within the bounds, given how far the sample tells."""
    if any(map(isinf, at_level)):
        verdict = f"unknown: {_TOO_FEW}"
    elif at_level[0] > most:
        verdict = TOO_HIGH
    elif at_level[1] < least:
        verdict = TOO_LOW
    else:
        verdict = AS_ASKED
    shown = None if any(map(isinf, interval)) else interval
    return Finding(
        name=name, asked=asked, measured=measured, interval=shown, verdict=verdict, passed=verdict == AS_ASKED
    )


def _delays(shape: Shape, expected: Expected, sample: Sample, level: float) -> list[Finding]:
    asked = expected.delays_ns
    median, spread = statistics.quantile(asked, 0.5), statistics.deviation(asked)
    kept = [each for each in sample.delays_ns if not _left_place(shape, each)]
    measured = sorted(kept[:: expectations.thinning(shape)])
    if not measured:
        why = "no probe keeps its place" if sample.delays_ns else _NOTHING_ARRIVES
        return [unmeasured("delay", median, why), unmeasured("jitter", spread, why)]
    wait_ns = expectations.bottleneck_wait_ns(shape)
    middle = _quantile("delay", 0.5, asked, measured, level, late_ns=wait_ns + _late(median))
    return [
        middle,
        *(_tail(asked, measured, level, wait_ns) if middle.passed else []),
        _jitter(asked, measured, level, late_ns=wait_ns + _late(spread)),
        *([_distribution(asked, measured, level, late_ns=wait_ns + _late(median))] if shape.jitter_ns else []),
    ]


def _quantile(
    name: str, fraction: float, asked: Sequence[float], measured: Sequence[int], level: float, *, late_ns: float
) -> Finding:
    value = statistics.quantile(asked, fraction)
    return compare(
        name,
        asked=value,
        measured=statistics.quantile(measured, fraction),
        interval=statistics.quantile_interval(measured, fraction, CONFIDENCE),
        at_level=statistics.quantile_interval(measured, fraction, 1 - level),
        least=value - EARLY_NS,
        most=value + late_ns,
    )


def _tail(asked: Sequence[float], measured: Sequence[int], level: float, wait_ns: float) -> list[Finding]:
    """The 95th percentile, where the sample is large enough to say anything of it."""
    if any(map(isinf, statistics.quantile_interval(measured, 0.95, 1 - level))):
        return []
    value = statistics.quantile(asked, 0.95)
    late_ns = wait_ns + max(TAIL_LATE_NS, value * TAIL_LATE_RATIO)
    found = _quantile("delay_p95", 0.95, asked, measured, level, late_ns=late_ns)
    if found.verdict == TOO_HIGH:
        return [replace(found, verdict="late: this machine is busy", passed=True)]
    return [found]


def _jitter(asked: Sequence[float], measured: Sequence[int], level: float, *, late_ns: float) -> Finding:
    """Shown is the standard deviation; judged, the distance of the quartiles, which a few late packets don't change."""
    middle = statistics.quantile(asked, 0.75) - statistics.quantile(asked, 0.25)
    judged = compare(
        "jitter",
        asked=middle,
        measured=middle,
        interval=(middle, middle),
        at_level=_middle_interval(measured, 1 - level),
        least=middle - EARLY_NS,
        most=middle + late_ns,
    )
    return Finding(
        name="jitter",
        asked=statistics.deviation(asked),
        measured=statistics.deviation(measured),
        interval=statistics.deviation_interval(measured, CONFIDENCE),
        verdict=judged.verdict,
        passed=judged.passed,
    )


def _middle_interval(ordered: Sequence[int], confidence: float) -> tuple[float, float]:
    """The interval of the interquartile range: each quartile may miss its own with half of the probability."""
    each = (1 + confidence) / 2
    first = statistics.quantile_interval(ordered, 0.25, each)
    third = statistics.quantile_interval(ordered, 0.75, each)
    return max(third[0] - first[1], 0.0), third[1] - first[0]


def _distribution(asked: Sequence[float], measured: Sequence[int], level: float, *, late_ns: float) -> Finding:
    distance = statistics.distance_beyond(measured, asked, early=EARLY_NS, late=late_ns)
    passed = statistics.distance_test(distance, len(measured)) >= level
    return Finding(
        name="distribution",
        asked=0,
        measured=statistics.distance_beyond(measured, asked, early=0, late=0),
        interval=None,
        verdict=AS_ASKED if passed else "is another one",
        passed=passed,
    )


def _losses(expected: Expected, sample: Sample, level: float) -> list[Finding]:
    lost, loss = sample.sent - sample.arrived, expected.loss
    if not sample.arrived and loss.rate < 1:
        verdict = f"of everything: {_NOTHING_ARRIVES}"
        interval = statistics.clopper_pearson(lost, sample.sent, CONFIDENCE)
        return [Finding(name="loss", asked=loss.rate, measured=1.0, interval=interval, verdict=verdict, passed=False)]
    by_chance = max(min(lost, round(loss.rate * sample.sent)), lost - sample.scripted)
    found = _share("loss", loss, by_chance, sample.sent, level)
    if by_chance != lost:
        found = replace(found, measured=lost / sample.sent, interval=None)
    return [found, *_burst(expected, sample, level)]


def _burst(expected: Expected, sample: Sample, level: float) -> list[Finding]:
    """How many are lost in a row: of those lost, each is the last of its row with the same probability."""
    lost = sample.sent - sample.arrived
    if not lost or not 0 < expected.loss.rate < 1 or sample.scripted:
        return []
    ends = expected.loss.ends
    low, high = statistics.clopper_pearson(sample.runs, lost, CONFIDENCE)
    verdict = AS_ASKED
    if statistics.binomial_test(sample.runs, lost, ends) < level:
        verdict = "too long" if sample.runs < lost * ends else "too short"
    return [
        Finding(
            name="burst",
            asked=1 / ends,
            measured=lost / sample.runs,
            interval=(1 / high, 1 / low),
            verdict=verdict,
            passed=verdict == AS_ASKED,
        )
    ]


def _displaced(shape: Shape, expected: Expected, sample: Sample, level: float) -> Finding:
    """Of packets that leave their place, those that show in the order of arrival, which no machine is too busy for.

    One that is held longer shows unless all that could overtake it are lost or held too; one that is sent at once,
    unless that is so of all that it could overtake.
    """
    process = expected.displaced
    varies_ns = 2 * (expected.delays_ns[-1] - expected.delays_ns[0])
    reach_ns = (shape.reorder.late_ns if shape.reorder and shape.reorder.late_ns else shape.delay_ns) - varies_ns
    others = int(reach_ns // sample.interval_ns) if not shape.jitter_ns or shape.variation.keeps_order else 0
    if others < 1:
        return unmeasured("reordered", process.rate, "packets leave their place by too little to tell")
    hidden = min(1 - process.ends + expected.loss.rate, 1) ** others
    if hidden == 1:
        return unmeasured("reordered", process.rate, "all leave their place alike")
    seen = processes.Process(rate=process.rate * (1 - hidden), twice=process.twice, inflation=process.inflation)
    count = sample.overtaking if _overtakes(shape) else sample.reordered
    return _scaled(_share("reordered", seen, count, sample.arrived, level), 1 / (1 - hidden))


def _overtakes(shape: Shape) -> bool:
    return shape.reorder is not None and not shape.reorder.late_ns


def _place_bound_ns(shape: Shape) -> float:
    """Half-way between the delay of packets that keep their place and that of the others."""
    return shape.delay_ns / 2 if _overtakes(shape) or not shape.reorder else shape.delay_ns + shape.reorder.late_ns / 2


def _left_place(shape: Shape, delay_ns: int) -> bool:
    if not shape.reorder:
        return False
    bound_ns = _place_bound_ns(shape)
    return delay_ns < bound_ns if _overtakes(shape) else delay_ns >= bound_ns


def _share(name: str, asked: Process, count: int, total: int, level: float) -> Finding:
    """A share of packets, judged as if there were so many fewer as the number varies more than by independent draws."""
    if not total:
        return unmeasured(name, asked.rate, _NOTHING_ARRIVES)
    fewer, trials = round(count / asked.inflation), max(round(total / asked.inflation), 1)
    interval = statistics.clopper_pearson(fewer, trials, CONFIDENCE)
    if statistics.binomial_test(fewer, trials, asked.rate) >= level:
        verdict = AS_ASKED
    elif not asked.rate and name != "loss":
        verdict = "packets where there should be none"
    else:
        verdict = TOO_HIGH if count > total * asked.rate else TOO_LOW
    return Finding(
        name=name,
        asked=asked.rate,
        measured=count / total,
        interval=interval,
        verdict=verdict,
        passed=verdict == AS_ASKED,
    )


def _scaled(finding: Finding, factor: float) -> Finding:
    """A finding on a known part of what is asked for, as one on all of it."""
    if finding.measured is None or finding.interval is None:
        return replace(finding, asked=finding.asked * factor)
    low, high = finding.interval
    return replace(
        finding,
        asked=finding.asked * factor,
        measured=finding.measured * factor,
        interval=(low * factor, min(high * factor, 1.0)),
    )


def _late(asked_ns: float) -> float:
    return max(LATE_NS, asked_ns * LATE_RATIO)
