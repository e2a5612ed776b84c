"""Judge how many packets are displaced from the order of arrival."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from testbed import statistics
from testbed.check import expected as expectations
from testbed.check.comparing import CONFIDENCE, LATE_NS, NOTHING_ARRIVES, TOO_HIGH, TOO_LOW
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.check.expected import Expected
    from testbed.check.samples import ProbeSample
    from testbed.impairments import Impairments, Reorder

_VISIBLE_LEAST = 0.5
"""The least share of displaced packets that must be visible in the order of arrival for a verdict."""

_LATE_MOST = 0.25
"""The share of probes that may be so late that the machine may have changed their order."""


def judge_reordering(
    impairments: Impairments, reorder: Reorder, expected: Expected, sample: ProbeSample, level: float
) -> Finding:
    """Judge the share of displaced packets by those that are visible in the order of arrival.

    A displaced packet is visible if it overtakes a packet in its place or, if it is held back, if such a packet
    overtakes it. The times of sending decide which packets it passes, except near the limit, where a late machine may.
    So the visible share is known within bounds, and any count between them is right.

    Args:
        impairments: the requested impairments.
        reorder: their reordering.
        expected: the effects of the impairments on probes.
        sample: the probes.
        level: the probability that a link that is as requested is found wrong.
    """
    rate, inflation = expected.displaced.rate, expected.displaced.inflation

    def not_measured(why: str) -> Finding:
        return unmeasured("reordered", rate, why)

    if not sample.arrived:
        return not_measured(NOTHING_ARRIVES)
    if impairments.jitter and not impairments.jitter.keeps_order:
        return not_measured("the jitter changes the order too")
    hidden_probability = min(1 - expected.displaced.ends + expected.loss.rate, 1)
    if hidden_probability == 1:
        return not_measured("all leave their place alike")
    displacement_ns = reorder.late_ns or impairments.delay_ns
    blur_ns = (
        2 * (expected.delays_ns[-1] - expected.delays_ns[0]) + expectations.bottleneck_wait_ns(impairments) + LATE_NS
    )
    late = _late_share(impairments, sample)
    if late > _LATE_MOST:
        return not_measured(f"{100 * late:.0f} % of the probes were late: this machine is busy")
    least = _visible(sample.sent_ns, displacement_ns - blur_ns, hidden_probability) * (1 - late)
    if least < _VISIBLE_LEAST:
        return not_measured(f"packets leave their place by {displacement_ns / 1e6:.3g} ms, too little to tell")
    likely = _visible(sample.sent_ns, displacement_ns, hidden_probability)
    duplicates = expected.duplicates.rate  # a duplicate is displaced by a draw of its own
    low, high = rate * least * (1 - duplicates), min(rate * (1 + duplicates), 1.0)

    count = sample.reordered if reorder.late_ns else sample.overtaking
    events, trials = round(count / inflation), max(round(sample.arrived / inflation), 1)
    verdict = AS_REQUESTED
    if statistics.binomial_cdf(events, trials, low) < level / 2:
        verdict = TOO_LOW
    elif 1 - statistics.binomial_cdf(events - 1, trials, high) < level / 2:
        verdict = TOO_HIGH
    fewest, most = statistics.clopper_pearson(events, trials, CONFIDENCE)
    return Finding(
        name="reordered",
        asked=rate,
        measured=min(count / sample.arrived / likely, 1.0),
        interval=(fewest, min(most / least, 1.0)),
        verdict=verdict,
        passed=verdict == AS_REQUESTED,
    )


def _visible(sent_ns: Sequence[int], reach_ns: float, hidden_probability: float) -> float:
    """Return the share of displaced packets that are visible, if each passes those sent within a time before it.

    Args:
        sent_ns: the times of sending, ascending.
        reach_ns: the length of that time.
        hidden_probability: the probability that a passed packet does not make it visible, being lost or displaced too.
    """
    passed = (place - bisect_right(sent_ns, at_ns - reach_ns, 0, place) for place, at_ns in enumerate(sent_ns))
    return sum(1 - hidden_probability**others for others in passed if others) / max(len(sent_ns), 1)


def _late_share(impairments: Impairments, sample: ProbeSample) -> float:
    """Return the share of probes that arrived later than the link and a machine without other load can explain."""
    bound_ns = expectations.longest_ns(impairments) + expectations.bottleneck_wait_ns(impairments) + LATE_NS
    return sum(delay_ns > bound_ns for delay_ns in sample.delays_ns) / max(len(sample.delays_ns), 1)
