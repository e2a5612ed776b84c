"""The finding on the packets that leave their place, from the order of arrival."""

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
    from testbed.check.samples import Sample
    from testbed.impairments import Impairments, Reorder

_VISIBLE_LEAST = 0.5
"""The share of displaced packets that the order of arrival has to show for sure, or nothing is concluded."""

_LATE_MOST = 0.25
"""The share of probes that may be so late that the machine has changed the order."""


def judge_reordering(
    impairments: Impairments, reorder: Reorder, expected: Expected, sample: Sample, level: float
) -> Finding:
    """Judge how many packets leave their place by those that the order of arrival shows.

    A packet that is sent at once shows if it overtakes one that keeps its place; one that is held back shows if such a
    one overtakes it. Which others it meets follows from the times of sending, but for those so close to the edge that a
    late machine decides. So the share that shows is known within bounds only, and right is what lies between them.

    Args:
        impairments: the link's.
        reorder: its reordering.
        expected: what the impairments makes of probes.
        sample: the probes.
        level: the probability with which a link that is right may be found wrong.
    """
    rate, inflation = expected.displaced.rate, expected.displaced.inflation

    def without_figure(why: str) -> Finding:
        return unmeasured("reordered", rate, why)

    if not sample.arrived:
        return without_figure(NOTHING_ARRIVES)
    if impairments.jitter and not impairments.jitter.keeps_order:
        return without_figure("the jitter changes the order too")
    hidden_by_one = min(1 - expected.displaced.ends + expected.loss.rate, 1)
    if hidden_by_one == 1:
        return without_figure("all leave their place alike")
    displacement_ns = reorder.late_ns or impairments.delay_ns
    blur_ns = (
        2 * (expected.delays_ns[-1] - expected.delays_ns[0]) + expectations.bottleneck_wait_ns(impairments) + LATE_NS
    )
    late = _late_share(impairments, sample)
    if late > _LATE_MOST:
        return without_figure(f"{100 * late:.0f} % of the probes were late: this machine is busy")
    least = _visible(sample.sent_ns, displacement_ns - blur_ns, hidden_by_one) * (1 - late)
    if least < _VISIBLE_LEAST:
        return without_figure(f"packets leave their place by {displacement_ns / 1e6:.3g} ms, too little to tell")
    likely = _visible(sample.sent_ns, displacement_ns, hidden_by_one)
    again = expected.duplicates.rate  # a duplicate leaves its place or keeps it by a draw of its own
    low, high = rate * least * (1 - again), min(rate * (1 + again), 1.0)

    count = sample.reordered if reorder.late_ns else sample.overtaking
    fewer, trials = round(count / inflation), max(round(sample.arrived / inflation), 1)
    verdict = AS_REQUESTED
    if statistics.binomial_cdf(fewer, trials, low) < level / 2:
        verdict = TOO_LOW
    elif 1 - statistics.binomial_cdf(fewer - 1, trials, high) < level / 2:
        verdict = TOO_HIGH
    fewest, most = statistics.clopper_pearson(fewer, trials, CONFIDENCE)
    return Finding(
        name="reordered",
        asked=rate,
        measured=min(count / sample.arrived / likely, 1.0),
        interval=(fewest, min(most / least, 1.0)),
        verdict=verdict,
        passed=verdict == AS_REQUESTED,
    )


def _visible(sent_ns: Sequence[int], reach_ns: float, hidden_by_one: float) -> float:
    """The share of displaced packets that the order shows, if each meets those sent within a time before it.

    Args:
        sent_ns: times of sending, ascending.
        reach_ns: how long before.
        hidden_by_one: the probability that a packet it meets does not show it, being lost or displaced too.
    """
    met = (place - bisect_right(sent_ns, at_ns - reach_ns, 0, place) for place, at_ns in enumerate(sent_ns))
    return sum(1 - hidden_by_one**others for others in met if others) / max(len(sent_ns), 1)


def _late_share(impairments: Impairments, sample: Sample) -> float:
    """The share of probes that came later than the link and a machine in time make them."""
    bound_ns = expectations.longest_ns(impairments) + expectations.bottleneck_wait_ns(impairments) + LATE_NS
    return sum(each > bound_ns for each in sample.delays_ns) / max(len(sample.delays_ns), 1)
