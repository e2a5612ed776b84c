"""Findings on everything that single probes tell of a link: delay, jitter, loss, duplicates, order, corruption."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed import statistics
from testbed.check import expected as expectations
from testbed.check import processes
from testbed.check.comparing import CONFIDENCE, NOTHING_ARRIVES, share
from testbed.check.delays import judge_delays
from testbed.check.reordering import judge_reordering
from testbed.check.verdict import AS_REQUESTED, Finding

if TYPE_CHECKING:
    from testbed.check.expected import Expected
    from testbed.check.samples import Sample
    from testbed.impairments import Impairments

TIMING = ("delay", "jitter", "distribution")
"""Findings that a machine with other things to do makes worse."""


def judge(impairments: Impairments, sample: Sample, *, level: float) -> tuple[Finding, ...]:
    """Judge a link, but for its bottleneck.

    Args:
        impairments: what was requested.
        sample: probes, so far apart that none was held up by the one before.
        level: the probability with which a link that is as requested may be found wrong, per property.
    """
    expected = expectations.of(impairments)
    findings = [*judge_delays(impairments, expected, sample, level), *_losses(expected, sample, level)]
    findings.append(share("duplicates", expected.duplicates, sample.duplicates, sample.arrived, level))
    if impairments.reorder:
        findings.append(judge_reordering(impairments, impairments.reorder, expected, sample, level))
    elif impairments.keeps_order:
        findings.append(share("reordered", processes.NEVER, sample.reordered, sample.arrived, level))
    if expected.corrupted.rate:
        came = sample.arrived + sample.strangers
        findings.append(share("corruption", expected.corrupted, sample.strangers, came, level))
    return tuple(findings)


def _losses(expected: Expected, sample: Sample, level: float) -> list[Finding]:
    lost, loss = sample.sent - sample.arrived, expected.loss
    if not sample.arrived and loss.rate < 1:
        verdict = f"of everything: {NOTHING_ARRIVES}"
        interval = statistics.clopper_pearson(lost, sample.sent, CONFIDENCE)
        return [Finding(name="loss", asked=loss.rate, measured=1.0, interval=interval, verdict=verdict, passed=False)]
    by_chance = max(min(lost, round(loss.rate * sample.sent)), lost - sample.scripted)
    found = share("loss", loss, by_chance, sample.sent, level)
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
    verdict = AS_REQUESTED
    if statistics.binomial_test(sample.runs, lost, ends) < level:
        verdict = "too long" if sample.runs < lost * ends else "too short"
    return [
        Finding(
            name="burst",
            asked=1 / ends,
            measured=lost / sample.runs,
            interval=(1 / high, 1 / low),
            verdict=verdict,
            passed=verdict == AS_REQUESTED,
        )
    ]
