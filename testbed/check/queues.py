"""Judge the depth of a queue from a train of datagrams that overflows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import statistics
from testbed.check import expected
from testbed.check.capacity import bottleneck_of
from testbed.check.comparing import LATE_NS
from testbed.check.rates import RATE_RATIO, prober_reaches
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured

if TYPE_CHECKING:
    from testbed.check.rates import Train
    from testbed.impairments import Impairments

_SECOND = 1_000_000_000


def judge_queue(impairments: Impairments, train: Train, *, base_ns: float) -> Finding:
    """Return the finding on the depth of a queue: the bytes ahead of a datagram when the queue was full.

    Args:
        impairments: the requested impairments, with a bottleneck of fixed rate.
        train: a train that overflows the queue.
        base_ns: the delay of a datagram that does not wait.
    """
    bottleneck = bottleneck_of(impairments)
    if train.backlog_bytes(impairments) < bottleneck.queue_bytes * (1 + RATE_RATIO) + train.frame_bytes:
        return unmeasured("queue", bottleneck.queue_bytes, prober_reaches(train.offered_bps))
    waits = [at - train.sent_ns[number] - base_ns for number, at in zip(train.sequence, train.received_ns, strict=True)]
    full = sorted(waits[-len(waits) // 4 :]) or [0.0]  # by then the queue has been full for long
    byte_ns = 8 * _SECOND / bottleneck.rate.mean_bps
    # In netem a frame leaves when its transmission starts, and counts as waiting until then.
    measured = statistics.quantile(full, 0.5) / byte_ns
    counted = train.frame_bytes + bottleneck.overhead_bytes
    requested = bottleneck.queue_bytes * counted / train.frame_bytes
    slack = 2 * counted + RATE_RATIO * requested
    late = (LATE_NS + expected.longest_ns(impairments) - impairments.delay_ns) / byte_ns
    verdict = AS_REQUESTED
    if len(set(train.sequence)) == len(train.sent_ns):
        verdict = "too deep: nothing was dropped"
    elif measured > requested + slack + late:
        verdict = "too deep"
    elif measured < requested - slack:
        verdict = "too shallow"
    return Finding(
        name="queue",
        asked=bottleneck.queue_bytes,
        measured=measured * train.frame_bytes / counted,
        interval=None,
        verdict=verdict,
        passed=verdict == AS_REQUESTED,
    )
