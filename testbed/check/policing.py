"""Judge a policer from a train of datagrams that is sent at twice its rate: the rest must be dropped.

A policer counts packets as they reach it, and delays none. So in the time from the first sending to the last arrival it
passes no more than its burst and its rate for that long; more proves it wrong, on any machine. Less may be due to the
machine, unless several trains agree.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from testbed.check import expected
from testbed.check.comparing import TOO_HIGH, TOO_LOW
from testbed.check.rates import RATE_RATIO, prober_reaches
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.check.rates import Train
    from testbed.impairments import Impairments, Policer

EXCESS = 2
"""The ratio of a train's rate to the policer's."""

_OFFERED_LEAST = 1.2
"""The ratio of the rate at which a train was really sent to the policer's, for the train to show anything."""

_SLACK_FRAMES = 3
_SECOND = 1_000_000_000


def policer_of(impairments: Impairments) -> Policer:
    """Return the policer of a link.

    Raises:
        ValueError: the link has none.
    """
    if impairments.policer is None:
        raise ValueError(f"a link without a policer: {impairments.describe()}")
    return impairments.policer


def judge_policer(impairments: Impairments, train: Train) -> Finding:
    """Return the finding on a policer: its rate, from the bits that passed beyond its burst."""
    policer = policer_of(impairments)
    frame_bits = 8 * train.frame_bytes
    sent_ns = train.sent_ns[-1] - train.sent_ns[0]
    kept = 1 - expected.of(impairments).loss.rate
    arrived = len(set(train.sequence))
    if len(train.sent_ns) * frame_bits * _SECOND < _OFFERED_LEAST * policer.rate_bps * sent_ns:
        return unmeasured("policer", policer.rate_bps, prober_reaches(train.offered_bps))
    passed_bits = arrived * frame_bits / kept - 8 * policer.burst_bytes
    measured = max(passed_bits, 0) * _SECOND / sent_ns
    most_ns = (max(train.received_ns, default=0) if arrived else train.sent_ns[-1]) - train.sent_ns[0]
    slack_bits = _SLACK_FRAMES * frame_bits + _losses_bits(arrived, 1 - kept, frame_bits)
    verdict = AS_REQUESTED
    if passed_bits > (1 + RATE_RATIO) * policer.rate_bps * most_ns / _SECOND + slack_bits:
        verdict = TOO_HIGH
    elif passed_bits < (1 - RATE_RATIO) * policer.rate_bps * sent_ns / _SECOND - slack_bits:
        verdict = TOO_LOW
    return Finding(
        name="policer",
        asked=policer.rate_bps,
        measured=measured,
        interval=None,
        verdict=verdict,
        passed=verdict == AS_REQUESTED,
    )


def conclude(findings: Sequence[Finding]) -> Finding:
    """Return the finding that follows from several trains: a rate that is right once is right; too much proves itself.

    Args:
        findings: of the trains, at least one.
    """
    for wanted in (TOO_HIGH, AS_REQUESTED, TOO_LOW):
        if found := next((finding for finding in findings if finding.verdict == wanted), None):
            return found
    return findings[-1]


def _losses_bits(arrived: int, loss: float, frame_bits: int) -> float:
    """Return four standard deviations of what random loss takes of the packets that the policer passed."""
    return 4 * sqrt(arrived * loss) / (1 - loss) * frame_bits
