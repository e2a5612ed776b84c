"""How many datagrams are sent over a link to measure it, how large and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.check import expected
from testbed.check.capacity import bottleneck_of, drained_ns, mean_bps, peak_bps
from testbed.check.expected import FRAME_BYTES
from testbed.check.rates import PRESSURE
from testbed.impairments import CoDel, FixedRate, Opportunities

if TYPE_CHECKING:
    from testbed.impairments import Bottleneck, Impairments, Reorder

INTERVAL_NS = 2_000_000
"""Between two probes at least: 500 a second are nothing to the machine."""

_MET = 8
_MEETING_LEAST_NS = 250_000
"""Between probes of a link that reorders: short enough for each displaced one to meet some, no shorter than this."""

LOAD = 10
"""Probes take at most one part in so many of a link's rate."""

ARRIVALS_LEAST = 60
"""Probes that should arrive for the bounds of medians and quartiles to be bounds at all."""

_FRAMES_LEAST = 24
_FRAMES_MOST = 6_000
"""Of a train. As many as the agent of a node takes in a tenth of a second."""

_LOW_RATE_NS = 400_000_000
"""A train's frames are so small that the fewest of them take no longer than this."""

_TRACE_NS = 2_000_000_000
"""The least that a link with a trace is kept busy."""

_FILLING_MOST_NS = 10_000_000_000
_OVERFLOW = 2
"""A train brings so many times what it takes to fill the queue, so that the queue stays full for a while."""

_LOSS_FACTOR_MOST = 100
_ETHERNET_BYTES = 14
_SLACK_NS = 300_000_000
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How a train is sent.

    Attributes:
        count: of datagrams.
        rate_bps: of frames; datagrams are evenly spaced.
        frame_bytes: of each on the link.
        in_flight_ns: the longest that one may be under way.
    """

    count: int
    rate_bps: int
    frame_bytes: int
    in_flight_ns: int

    @property
    def interval_ns(self) -> int:
        """Between two datagrams."""
        return 8 * self.frame_bytes * _SECOND // self.rate_bps

    @property
    def lasts_ns(self) -> int:
        """From the first datagram until the last has certainly arrived."""
        return self.count * self.interval_ns + self.in_flight_ns


def interval_ns(impairments: Impairments) -> int:
    """The time between two probes of a link: enough for their delays to be those that the impairments asks for."""
    return max(_light_ns(impairments), expected.apart_ns(impairments))


def apart(impairments: Impairments, probes_ns: int) -> Schedule:
    """Probes that do not disturb each other; of those that arrive, enough keep their place to tell of delays."""
    made = expected.of(impairments)
    kept = (1 - made.loss.rate) * (1 - made.displaced.rate)
    least = round(ARRIVALS_LEAST * expected.thinning(impairments) * (min(1 / kept, _LOSS_FACTOR_MOST) if kept else 1))
    return _spaced(impairments, max(_usual(probes_ns, interval_ns(impairments)), least), interval_ns(impairments))


def _usual(probes_ns: int, interval_ns: int) -> int:
    """How many probes fit into a time; no more where they follow each other faster than usual."""
    return probes_ns // max(interval_ns, INTERVAL_NS)


def crowd(impairments: Impairments, probes_ns: int) -> Schedule | None:
    """More of them, closer together, where those that are apart are too few to tell of loss; else None."""
    enough = _usual(probes_ns, _light_ns(impairments)) // 2
    return (
        _spaced(impairments, enough, _light_ns(impairments)) if apart(impairments, probes_ns).count < enough else None
    )


def _spaced(impairments: Impairments, count: int, interval_ns: int) -> Schedule:
    return Schedule(
        count=count,
        rate_bps=max(8 * FRAME_BYTES * _SECOND // interval_ns, 1),
        frame_bytes=FRAME_BYTES,
        in_flight_ns=expected.longest_ns(impairments) + _SLACK_NS,
    )


def _light_ns(impairments: Impairments) -> int:
    """The time between two probes that are no load to the link."""
    least_ns = _meeting_ns(impairments.reorder, impairments) if impairments.reorder else INTERVAL_NS
    bottleneck = impairments.bottleneck
    if bottleneck is None:
        return least_ns
    bits = 8 * (FRAME_BYTES + bottleneck.overhead_bytes) * LOAD
    return max(least_ns, -(-bits * _SECOND // max(round(mean_bps(bottleneck.rate)), 1)))


def _meeting_ns(reorder: Reorder, impairments: Impairments) -> int:
    """The time between probes so short that one which leaves its place meets others."""
    return min(max((reorder.late_ns or impairments.delay_ns) // _MET, _MEETING_LEAST_NS), INTERVAL_NS)


def busy(impairments: Impairments, mtu: int, train_ns: int, *, longer: int = 1, halved: bool = False) -> Schedule:
    """A train that keeps a link's bottleneck busy for a time.

    Args:
        impairments: of the link.
        mtu: of its network.
        train_ns: how long the bottleneck is busy, if it takes no more datagrams than a node's agent can.
        longer: how many times as many datagrams, if it takes no more than that.
        halved: in twice as many datagrams of half the size.
    """
    bottleneck = bottleneck_of(impairments)
    window_ns = train_ns if isinstance(bottleneck.rate, FixedRate) else max(train_ns, _TRACE_NS)
    rate_bps = peak_bps(bottleneck.rate, train_ns)
    frame_bytes = _frame_bytes(bottleneck, mtu, rate_bps)
    most = _FRAMES_MOST
    if halved:
        frame_bytes, most = max(frame_bytes // 2, FRAME_BYTES), 2 * most
    counted = 8 * (frame_bytes + bottleneck.overhead_bytes)
    pressure = PRESSURE / (1 - expected.of(impairments).loss.rate)
    usual = max(rate_bps * window_ns / _SECOND / counted, _FRAMES_LEAST)
    count = round(min(usual * longer, most) * pressure)
    return Schedule(
        count=count,
        rate_bps=round(rate_bps * pressure * frame_bytes * 8 / counted),
        frame_bytes=frame_bytes,
        in_flight_ns=_drained_ns(impairments, count * counted),
    )


def overflowing(impairments: Impairments, mtu: int) -> Schedule:
    """A train that fills a link's queue and more, at twice the rate."""
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


def unfillable(bottleneck: Bottleneck) -> str | None:
    """Why the depth of a queue is not measured, or None."""
    if not isinstance(bottleneck.rate, FixedRate):
        return "the rate before it varies"
    if isinstance(bottleneck.discipline, CoDel):
        return f"{bottleneck.discipline.kind} keeps it short"
    filling_ns = round(8 * bottleneck.queue_bytes * _SECOND / bottleneck.rate.bps)
    return f"filling it takes {filling_ns / 1e9:.0f} s" if filling_ns > _FILLING_MOST_NS else None


def _frame_bytes(bottleneck: Bottleneck, mtu: int, rate_bps: float) -> int:
    """Full frames, but at low rates smaller ones; those of a trace take one opportunity each."""
    most = mtu + _ETHERNET_BYTES
    if isinstance(bottleneck.rate, Opportunities):
        most = min(most, bottleneck.rate.frame_bytes)
    fitting = int(rate_bps * _LOW_RATE_NS / _SECOND / 8 / _FRAMES_LEAST) - bottleneck.overhead_bytes
    return max(min(most, fitting), FRAME_BYTES)


def _drained_ns(impairments: Impairments, bits: int) -> int:
    """The longest that the last datagram of a train of so many bits is under way."""
    bottleneck = bottleneck_of(impairments)
    waiting = min(bits, 8 * bottleneck.queue_bytes)
    return expected.longest_ns(impairments) + drained_ns(bottleneck.rate, waiting, _FILLING_MOST_NS) + _SLACK_NS
