"""Judge delay, jitter, loss, duplicates, order and corruption of a link from single probes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed import statistics
from testbed.check import expected as expectations
from testbed.check import random_processes, traced
from testbed.check.comparing import CONFIDENCE, NOTHING_ARRIVES, compare_share
from testbed.check.delays import judge_delays
from testbed.check.reordering import judge_reordering
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured
from testbed.impairments import LossSteps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.check.expected import Expected
    from testbed.check.samples import ProbeSample
    from testbed.impairments import Impairments

_NO_ORIGIN = "it is not known when its trace began"

TIMING = ("delay", "jitter", "distribution")
"""The findings that a busy machine can make worse."""


def judge(
    impairments: Impairments, sample: ProbeSample, *, level: float, origin_ns: int | None = None
) -> tuple[Finding, ...]:
    """Return the findings on all properties of a link except its policer and its bottleneck.

    Args:
        impairments: the requested impairments.
        sample: probes, spaced so that none is delayed by the one before; of a delay by trace, as `traced` says.
        level: the probability, per property, that a link that is as requested is found wrong.
        origin_ns: time zero of the traces of delay and loss.
    """
    if isinstance(impairments.loss, LossSteps) or impairments.delay_trace:
        if origin_ns is None:
            return tuple(unmeasured(name, asked, _NO_ORIGIN) for name, asked in _asked(impairments))
        steady = judge(traced.without_traces(impairments, origin_ns, sample.sent_ns), sample, level=level)
        # A trace loses in its own rhythm, of which a mean burst says nothing.
        return tuple(found for found in steady if found.name != "burst" or not isinstance(impairments.loss, LossSteps))
    expected = expectations.of(impairments)
    findings = [*judge_delays(impairments, expected, sample, level), *_losses(expected, sample, level)]
    findings.append(compare_share("duplicates", expected.duplicates, sample.duplicates, sample.arrived, level))
    if impairments.reorder:
        findings.append(judge_reordering(impairments, impairments.reorder, expected, sample, level))
    elif impairments.keeps_order:
        findings.append(compare_share("reordered", random_processes.NEVER, sample.reordered, sample.arrived, level))
    if expected.corrupted.rate:
        received = sample.arrived + sample.unexpected
        findings.append(compare_share("corruption", expected.corrupted, sample.unexpected, received, level))
    return tuple(findings)


def _asked(impairments: Impairments) -> Iterator[tuple[str, float]]:
    yield "delay", impairments.delay_ns
    yield "loss", expectations.of(impairments).loss.rate


def _losses(expected: Expected, sample: ProbeSample, level: float) -> list[Finding]:
    lost, loss = sample.sent - sample.arrived, expected.loss
    if not sample.arrived and loss.rate < 1:
        verdict = f"of everything: {NOTHING_ARRIVES}"
        interval = statistics.clopper_pearson(lost, sample.sent, CONFIDENCE)
        return [Finding(name="loss", asked=loss.rate, measured=1.0, interval=interval, verdict=verdict, passed=False)]
    random_losses = max(min(lost, round(loss.rate * sample.sent)), lost - sample.scripted)
    finding = compare_share("loss", loss, random_losses, sample.sent, level)
    if random_losses != lost:
        finding = replace(finding, measured=lost / sample.sent, interval=None)
    return [finding, *_burst(expected, sample, level)]


def _burst(expected: Expected, sample: ProbeSample, level: float) -> list[Finding]:
    """Judge the mean burst length: each lost packet is the last of its burst with the same probability."""
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
