"""Judge delay and loss that follow a trace, probe by probe: what the trace requested at the time of each.

The probes of a link whose delay varies become those of a link with the mean delay, by the difference of each probe; its
loss becomes the mean of what was requested for the probes. A packet that meets a step of the trace on its way to the
engine may differ by that step, so judgements are by quantiles and counts, as ever.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.impairments import IndependentLoss, LossSteps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.impairments import Impairments


def without_traces(impairments: Impairments, origin_ns: int, sent_ns: Sequence[int]) -> Impairments:
    """Return the impairments that have the mean delay, and the loss requested for packets sent at these times.

    Args:
        impairments: of the link.
        origin_ns: time zero of its traces.
        sent_ns: when the packets were sent.
    """
    steady = replace(impairments, delay_trace=None)
    if isinstance(loss := impairments.loss, LossSteps):
        found = _values(loss.starts_ns, loss.probabilities, loss.period_ns, origin_ns, sent_ns)
        probability = round(sum(found) / max(len(found), 1))
        steady = replace(steady, loss=IndependentLoss(probability=probability) if probability else None)
    return steady


def excess_ns(impairments: Impairments, origin_ns: int, sent_ns: Sequence[int]) -> Sequence[int]:
    """Return by how much the delay requested for each packet differs from the link's mean, ns.

    If the link keeps order, a packet leaves no earlier than those before it.

    Args:
        impairments: of the link.
        origin_ns: time zero of its traces.
        sent_ns: when the packets were sent, ascending.
    """
    trace = impairments.delay_trace
    if trace is None:
        return [0] * len(sent_ns)
    delays_ns = _values(trace.starts_ns, trace.delays_ns, trace.period_ns, origin_ns, sent_ns)
    last_ns, found = 0, []
    for sent, delay_ns in zip(sent_ns, delays_ns, strict=True):
        due_ns = sent + delay_ns
        if impairments.keeps_order:
            due_ns = last_ns = max(last_ns, due_ns)
        found.append(due_ns - sent - impairments.delay_ns)
    return found


def _values(
    starts_ns: Sequence[int], values: Sequence[int], period_ns: int, origin_ns: int, times_ns: Sequence[int]
) -> list[int]:
    """Return the values of a trace at some times."""
    return [values[bisect_right(starts_ns, max(time - origin_ns, 0) % period_ns) - 1] for time in times_ns]
