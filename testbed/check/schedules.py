"""Compute how many datagrams measure a link, how large they are and how fast they are sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from testbed.check import expected
from testbed.check.capacity import bottleneck_of, drained_ns, mean_bps, peak_bps
from testbed.check.expected import FRAME_BYTES
from testbed.check.policing import EXCESS, policer_of
from testbed.check.rates import PRESSURE
from testbed.check.shaping import bucket_of
from testbed.check.shaping import drained_ns as bucket_drained_ns
from testbed.impairments import ACTIVE, FixedRate, Opportunities, TokenBucket

if TYPE_CHECKING:
    from testbed.impairments import Bottleneck, Impairments, Reorder

INTERVAL_NS = 2_000_000
"""The least time between two probes: 500 a second are no load for the machine."""

_PASSED_PROBES = 8
_REORDERING_INTERVAL_LEAST_NS = 250_000
"""Of a link that reorders: the interval lets a displaced probe pass several others, but is never shorter than this."""

LOAD = 10
"""Probes use at most 1/LOAD of a link's rate."""

_MARGIN = 2
"""The factor by which a bottleneck may be slower for a moment than its mean rate says."""

ARRIVALS_LEAST = 60
"""How many probes must arrive for the confidence intervals of median and quartiles to be finite."""

_FRAMES_LEAST = 24
_FRAMES_MOST = 6_000
"""Bounds of the frames in a train. An endpoint receives the larger number in a tenth of a second."""

_POLICED_LEAST = 100
"""The least frames of a train for a policer: what its bucket holds at the end may be a frame more or less."""

_BURSTING_MOST = 20_000
"""The most frames of a train that uses a burst up; an endpoint receives as many in a third of a second."""

_FLOOD = 4
"""The least ratio of the rate of such a train to the link's: the bucket is empty in a third of the time that it takes
to fill."""

_DRAINED_SURELY = 1.25
"""How many times the time to use a bucket up such a train takes before the link counts as busy at its rate."""

_LOW_RATE_NS = 400_000_000
"""Frames are made small enough for the shortest train to take no longer than this."""

_TRACE_NS = 2_000_000_000
"""The least time for which a link with a trace is kept busy."""

_FILLING_MOST_NS = 10_000_000_000
_OVERFLOW = 2
"""A train carries this many times what fills the queue, so that the queue stays full for a while."""

_LOSS_FACTOR_MOST = 100
_ETHERNET_BYTES = 14
SLACK_NS = 300_000_000
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How a train of datagrams is sent.

    Attributes:
        count: the number of datagrams.
        rate_bps: the rate of frames; datagrams are evenly spaced.
        frame_bytes: the size of each frame on the link.
        in_flight_ns: the longest time that a datagram may be in flight.
    """

    count: int
    rate_bps: int
    frame_bytes: int
    in_flight_ns: int

    @property
    def interval_ns(self) -> int:
        """The time between two datagrams."""
        return 8 * self.frame_bytes * _SECOND // self.rate_bps

    @property
    def service_ns(self) -> int:
        """The most time that a bottleneck takes for one probe, of a schedule of probes."""
        return _MARGIN * self.interval_ns // LOAD

    @property
    def lasts_ns(self) -> int:
        """The time from the first datagram until the last one must have arrived."""
        return self.count * self.interval_ns + self.in_flight_ns

    def shared_by(self, parts: int) -> Schedule:
        """Return one of so many schedules that send as many datagrams together."""
        return replace(self, count=-(-self.count // parts))


def interval_ns(impairments: Impairments) -> int:
    """Return the time between two probes of a link, long enough for no probe to change the delay of another."""
    return max(_light_interval_ns(impairments), expected.spacing_ns(impairments))


def spaced_probes(impairments: Impairments, probes_ns: int) -> Schedule:
    """Return a schedule of probes that do not disturb each other, enough of them to judge the delay."""
    effects = expected.of(impairments)
    kept = (1 - effects.loss.rate) * (1 - effects.displaced.rate)
    least = round(ARRIVALS_LEAST * expected.thinning(impairments) * (min(1 / kept, _LOSS_FACTOR_MOST) if kept else 1))
    return _probes(impairments, max(_probes_in(probes_ns, interval_ns(impairments)), least), interval_ns(impairments))


def _probes_in(probes_ns: int, interval_ns: int) -> int:
    """Return how many probes are sent in a time; an interval below the usual one does not increase the number."""
    return probes_ns // max(interval_ns, INTERVAL_NS)


def dense_probes(impairments: Impairments, probes_ns: int) -> Schedule | None:
    """Return a schedule of more probes at a shorter interval, where the spaced ones are too few for loss; else None."""
    interval_ns = _light_interval_ns(impairments)
    enough = _probes_in(probes_ns, interval_ns) // 2
    return _probes(impairments, enough, interval_ns) if spaced_probes(impairments, probes_ns).count < enough else None


def _probes(impairments: Impairments, count: int, interval_ns: int) -> Schedule:
    return Schedule(
        count=count,
        rate_bps=max(8 * FRAME_BYTES * _SECOND // interval_ns, 1),
        frame_bytes=FRAME_BYTES,
        in_flight_ns=expected.longest_ns(impairments) + SLACK_NS,
    )


def _light_interval_ns(impairments: Impairments) -> int:
    """Return the shortest time between two probes at which they use little of the link's rate."""
    least_ns = _reordering_interval_ns(impairments.reorder, impairments) if impairments.reorder else INTERVAL_NS
    bottleneck, policer = impairments.bottleneck, impairments.policer
    bits = 8 * FRAME_BYTES * LOAD
    if policer:
        least_ns = max(least_ns, -(-bits * _SECOND // policer.rate_bps))
    if bottleneck is None:
        return least_ns
    bits += 8 * bottleneck.overhead_bytes * LOAD
    return max(least_ns, -(-bits * _SECOND // max(round(mean_bps(bottleneck.rate)), 1)))


def _reordering_interval_ns(reorder: Reorder, impairments: Impairments) -> int:
    """Return a time between probes that is short enough for a displaced probe to pass several others."""
    displacement_ns = reorder.late_ns or impairments.delay_ns
    return min(max(displacement_ns // _PASSED_PROBES, _REORDERING_INTERVAL_LEAST_NS), INTERVAL_NS)


def busy(impairments: Impairments, mtu: int, train_ns: int, *, longer: int = 1, halved: bool = False) -> Schedule:
    """Return a schedule that keeps a link's bottleneck busy for a time.

    Args:
        impairments: the link's impairments.
        mtu: the MTU of its network.
        train_ns: how long the bottleneck is busy; less if that takes more datagrams than an endpoint can receive.
        longer: the factor by which the number of datagrams grows, within the same limit.
        halved: whether to send twice as many datagrams of half the size.
    """
    bottleneck = bottleneck_of(impairments)
    window_ns = train_ns if isinstance(bottleneck.rate, FixedRate) else max(train_ns, _TRACE_NS)
    rate_bps = peak_bps(bottleneck.rate, train_ns)
    frame_bytes = _frame_bytes(bottleneck, mtu, rate_bps)
    frames_most = _FRAMES_MOST
    if halved:
        frame_bytes, frames_most = max(frame_bytes // 2, FRAME_BYTES), 2 * frames_most
    counted = 8 * (frame_bytes + bottleneck.overhead_bytes)
    pressure = PRESSURE / (1 - expected.of(impairments).loss.rate)
    usual = max(rate_bps * window_ns / _SECOND / counted, _FRAMES_LEAST)
    count = round(min(usual * longer, frames_most) * pressure)
    return Schedule(
        count=count,
        rate_bps=round(rate_bps * pressure * frame_bytes * 8 / counted),
        frame_bytes=frame_bytes,
        in_flight_ns=_drained_ns(impairments, count * counted),
    )


def overflowing(impairments: Impairments, mtu: int) -> Schedule:
    """Return a schedule that overflows a link's queue, at twice the link's rate."""
    bottleneck = bottleneck_of(impairments)
    rate_bps, queue_bytes = bottleneck.rate.mean_bps, bottleneck.queue_bytes
    frame_bytes = _frame_bytes(bottleneck, mtu, rate_bps)
    pressure = 2 / (1 - expected.of(impairments).loss.rate)
    count = round((queue_bytes * _OVERFLOW / frame_bytes + _FRAMES_LEAST) * pressure)
    return Schedule(
        count=count,
        rate_bps=round(rate_bps * pressure * frame_bytes / (frame_bytes + bottleneck.overhead_bytes)),
        frame_bytes=frame_bytes,
        in_flight_ns=_drained_ns(impairments, 8 * queue_bytes),
    )


def exceeding(impairments: Impairments, mtu: int, train_ns: int) -> Schedule:
    """Return a schedule that exceeds a link's policer, for twice as long as that takes to use up its burst.

    Args:
        impairments: the link's impairments.
        mtu: the MTU of its network.
        train_ns: the least time that the train takes, unless that is more datagrams than an endpoint can receive.
    """
    policer = policer_of(impairments)
    rate_bps = EXCESS * policer.rate_bps
    fitting = int(rate_bps * _LOW_RATE_NS / _SECOND / 8 / _POLICED_LEAST)
    frame_bytes = max(min(mtu + _ETHERNET_BYTES, fitting), FRAME_BYTES)
    burst_ns = round(8 * policer.burst_bytes * _SECOND / (rate_bps - policer.rate_bps))
    count = round(rate_bps * max(train_ns, 2 * burst_ns) / _SECOND / (8 * frame_bytes))
    return Schedule(
        count=max(min(count, _FRAMES_MOST), _POLICED_LEAST),
        rate_bps=rate_bps,
        frame_bytes=frame_bytes,
        in_flight_ns=expected.longest_ns(impairments) + SLACK_NS,
    )


def bursting(impairments: Impairments, mtu: int, train_ns: int) -> Schedule:
    """Return a schedule that uses a token bucket up and then keeps the bottleneck busy for a time.

    Args:
        impairments: the link's impairments, with a token bucket.
        mtu: the MTU of its network.
        train_ns: how long the bottleneck is busy afterwards.
    """
    bottleneck, bucket = bottleneck_of(impairments), bucket_of(impairments)
    frame_bytes = _frame_bytes(bottleneck, mtu, bucket.bps)
    counted = 8 * (frame_bytes + bottleneck.overhead_bytes)
    offered_bps = max(PRESSURE * bucket.peak_bps, _FLOOD * bucket.bps)
    rest_ns = max(train_ns, _FRAMES_LEAST * counted * _SECOND // bucket.bps)
    count = offered_bps * (_DRAINED_SURELY * bucket_drained_ns(bucket, offered_bps) + rest_ns) / _SECOND / counted
    pressure = 1 / (1 - expected.of(impairments).loss.rate)
    return Schedule(
        count=round(count * pressure),
        rate_bps=round(offered_bps * pressure * frame_bytes * 8 / counted),
        frame_bytes=frame_bytes,
        in_flight_ns=_drained_ns(impairments, round(count * pressure) * counted),
    )


def unburstable(impairments: Impairments, mtu: int, train_ns: int) -> str | None:
    """Return why a token bucket can't be measured, or None."""
    count = bursting(impairments, mtu, train_ns).count
    return f"using its burst up takes {count} datagrams" if count > _BURSTING_MOST else None


def unfillable(impairments: Impairments) -> str | None:
    """Return why the depth of a link's queue can't be measured, or None."""
    bottleneck = bottleneck_of(impairments)
    if impairments.delay_trace:
        return "the delay before it follows a trace"
    if not isinstance(bottleneck.rate, FixedRate):
        return "the rate before it varies"
    if isinstance(bottleneck.rate, TokenBucket):
        return "a burst leaves it at another rate"
    if isinstance(bottleneck.discipline, ACTIVE):
        return f"{bottleneck.discipline.kind} keeps it short"
    filling_ns = round(8 * bottleneck.queue_bytes * _SECOND / bottleneck.rate.bps)
    return f"filling it takes {filling_ns / 1e9:.0f} s" if filling_ns > _FILLING_MOST_NS else None


def _frame_bytes(bottleneck: Bottleneck, mtu: int, rate_bps: float) -> int:
    """Return the size of a train's frames: full, smaller at low rates; on a trace, one opportunity carries one."""
    most = mtu + _ETHERNET_BYTES
    if isinstance(bottleneck.rate, Opportunities):
        most = min(most, bottleneck.rate.frame_bytes)
    fitting = int(rate_bps * _LOW_RATE_NS / _SECOND / 8 / _FRAMES_LEAST) - bottleneck.overhead_bytes
    return max(min(most, fitting), FRAME_BYTES)


def _drained_ns(impairments: Impairments, bits: int) -> int:
    """Return the longest time that the last datagram of a train of `bits` may be in flight."""
    bottleneck = bottleneck_of(impairments)
    waiting = min(bits, 8 * bottleneck.queue_bytes)
    return expected.longest_ns(impairments) + drained_ns(bottleneck.rate, waiting, _FILLING_MOST_NS) + SLACK_NS
