"""Impairments in the kernel's terms: the queueing disciplines that carry them out.

    clsact egress   police: the policer (`testbed.engines.netem.police`)
    root  netem 1:   loss, duplication, corruption at enqueue (net/sched/sch_netem.c), then delay
    1:1   tbf 2:     the bottleneck; a packet is enqueued here when netem's delay is over
    2:1   bfifo 3:, codel 4:, fq_codel 5:, pie 6:, red 7: or cake 8:   the bottleneck's queue; drops are its

Impairments without a rate have a bottleneck too fast to matter, because removing tbf would drop the packets in it. In
kernels without "netem: account for backlog updates from child qdisc" of 2024 it would also confuse netem's count of
its packets until netem passes none; there codel and fq_codel do the same whenever they drop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.engines.netem.active_queues import CakeQdisc, PieQdisc, RedQdisc
from testbed.engines.netem.qdiscs import GemodelLoss, Netem, StateLoss
from testbed.engines.netem.queues import CODEL_UNIT_NS, TICK_NS, Bfifo, Codel, FqCodel, Tbf, bucket_ticks
from testbed.impairments import (
    CERTAIN,
    Blackhole,
    Cake,
    CoDel,
    CorrelatedLoss,
    FourState,
    FqCoDel,
    GilbertElliott,
    IndependentLoss,
    Pie,
    Red,
    TokenBucket,
    distributions,
)

if TYPE_CHECKING:
    from testbed.engines.netem.qdiscs import LossModel
    from testbed.impairments import Bottleneck, Impairments, Loss, RandomEvent

ETHERNET_HEADER = 14
U32_MAX = (1 << 32) - 1

LATENESS_NS = 1_000_000
"""How late the timer that wakes tbf may be without loss of rate. The bucket has to hold more than one frame: it is full
at the moment when the next frame may go, and the tokens that would come between then and the timer are lost."""

_UNLIMITED = 1 << 40
"""The rate of an unlimited bottleneck, bytes/s: 8.8 Tbit/s with a bucket of a gigabyte delays and drops nothing."""

_IN_FLIGHT_SLACK = 1_000
_IN_FLIGHT_MOST = 1 << 20
_FURTHEST_JITTERS = 4  # distributions.FURTHEST / distributions.SCALE
_SHORTEST_FRAME = ETHERNET_HEADER + 20  # an IPv4 header and nothing else; veth does not pad

_QUANTUM_LEAST = 256  # fq_codel raises smaller values to this

_EVEN = tuple(range(1 - distributions.SCALE, distributions.SCALE))
"""The table of a uniform distribution over one jitter in either direction. Without a table netem takes a 32-bit number
modulo twice the jitter, which is uneven by up to a half if the jitter is seconds; and a table can't be removed."""

Queue = Bfifo | Codel | FqCodel | PieQdisc | RedQdisc | CakeQdisc
Qdisc = Netem | Tbf | Queue


def translate(impairments: Impairments, *, mtu: int, seed: int | None = None) -> tuple[Netem, Tbf, Queue]:
    """Return the queueing disciplines that carry out supported impairments, from the root down.

    Args:
        impairments: of the link, for which `supports` returns None.
        mtu: bytes of an IP packet on the link's network.
        seed: of the random numbers, for kernels that take it.
    """
    bottleneck = impairments.bottleneck
    return emulator(impairments, seed), transmitter(bottleneck, mtu), queue(bottleneck, mtu)


def emulator(impairments: Impairments, seed: int | None = None) -> Netem:
    """Return the netem that carries out loss, corruption, duplication and delay."""
    loss, loss_correlation = _random_loss(impairments.loss)
    duplicate, duplicate_correlation = _event(impairments.duplicate)
    corrupt, corrupt_correlation = _event(impairments.corruption.event if impairments.corruption else None)
    reorder, reorder_correlation = _event(impairments.reorder.event if impairments.reorder else None)
    jitter = impairments.jitter
    return Netem(
        limit=_limit(impairments),
        delay_ns=impairments.delay_ns,
        jitter_ns=impairments.jitter_ns,
        delay_table=(distributions.quantiles(jitter.distribution) or _EVEN) if jitter else (),
        loss=loss,
        loss_correlation=loss_correlation,
        loss_model=_loss_model(impairments.loss),
        duplicate=duplicate,
        duplicate_correlation=duplicate_correlation,
        gap=max(impairments.reorder.gap, 1) if impairments.reorder else 0,
        reorder=reorder,
        reorder_correlation=reorder_correlation,
        corrupt=corrupt,
        corrupt_correlation=corrupt_correlation,
        seed=seed,
    )


def _limit(impairments: Impairments) -> int:
    """Return how many packets netem may hold.

    The sender decides how many packets are in flight, not the bottleneck behind netem. The limit allows one per
    microsecond, which is more than a core sends, and at most a million, some 2 GB. Since 2024 the kernel also counts
    the packets in the bottleneck's queue, so the limit includes as many as that can hold.
    """
    furthest_ns = impairments.delay_ns + _FURTHEST_JITTERS * impairments.jitter_ns
    in_flight = min(furthest_ns // 1_000, _IN_FLIGHT_MOST)
    queue_bytes = impairments.bottleneck.queue_bytes if impairments.bottleneck else 0
    return _IN_FLIGHT_SLACK + in_flight + queue_bytes // _SHORTEST_FRAME


def _threshold(probability: int) -> int:
    """Return netem's threshold for a probability: v > 0 means (v + 1) / 2^32; 0 means never, except in reordering."""
    return max(probability - 1, 0)


def _event(event: RandomEvent | None) -> tuple[int, int]:
    """Return the thresholds for the probability and the correlation of an event."""
    return (_threshold(event.probability), _threshold(event.correlation)) if event else (0, 0)


def _random_loss(loss: Loss | None) -> tuple[int, int]:
    """Return the thresholds for the probability and the correlation of a loss without states."""
    match loss:
        case IndependentLoss(probability=probability):
            return _threshold(probability), 0
        case CorrelatedLoss(probability=probability, correlation=correlation):
            return _threshold(probability), _threshold(correlation)
        case Blackhole():
            return _threshold(CERTAIN), 0
    return 0, 0


def _loss_model(model: Loss | None) -> LossModel | None:
    """Return netem's model of a loss with states. Here v means v / 2^32, so a certainty fails once in 2^32 times."""
    match model:
        case GilbertElliott():
            return GemodelLoss(
                p=min(model.to_bad, U32_MAX),
                r=min(model.to_good, U32_MAX),
                h=max(U32_MAX - model.loss_bad, 0),
                k1=min(model.loss_good, U32_MAX),
            )
        case FourState():
            p14 = min(model.p14, U32_MAX)
            p32 = min(model.p32, U32_MAX)
            return StateLoss(  # the kernel adds the probabilities of leaving a state in 32 bits
                p13=min(model.p13, U32_MAX - p14),
                p31=min(model.p31, U32_MAX - p32),
                p32=p32,
                p14=p14,
                p23=min(model.p23, U32_MAX),
            )
    return None


def transmitter(bottleneck: Bottleneck | None, mtu: int) -> Tbf:
    """Return the tbf of a bottleneck.

    Its bucket holds one frame and the tokens of the time that the timer is late, and so does that of the peak of a
    rate with bursts, whose own bucket holds the burst.
    """
    if bottleneck is None:
        return Tbf(rate=_UNLIMITED, limit=U32_MAX, buffer=ticks(_UNLIMITED, 0))
    rate, frame = bottleneck.rate.mean_bps // 8, mtu + ETHERNET_HEADER + bottleneck.overhead_bytes
    tbf = Tbf(
        rate=rate,
        limit=bottleneck.queue_bytes,
        buffer=ticks(rate, frame),
        overhead=bottleneck.overhead_bytes,
    )
    if isinstance(bottleneck.rate, TokenBucket):
        bucket, peak = bottleneck.rate, bottleneck.rate.peak_bps // 8
        tbf = replace(
            tbf, buffer=bucket_ticks(bucket.burst_bytes, rate), peak=peak, mtu=ticks(peak, frame) if peak else 0
        )
    return tbf


def queue(bottleneck: Bottleneck | None, mtu: int) -> Queue:
    """Return the queue of a bottleneck. codel, fq_codel and pie count packets: as many as full frames fit."""
    if bottleneck is None:
        return Bfifo(limit=U32_MAX)
    frame = mtu + ETHERNET_HEADER
    queue_bytes = bottleneck.queue_bytes
    match bottleneck.discipline:
        case CoDel() as discipline:
            return _codel(discipline, queue_bytes // frame, frame)
        case Pie(target_ns=target_ns, ecn=ecn):
            return PieQdisc(limit=queue_bytes // frame, target=target_ns // TICK_NS, ecn=ecn)
        case Red() as red:
            return RedQdisc(
                limit=queue_bytes,
                least=red.min_bytes,
                most=red.max_bytes,
                probability=min(red.probability, U32_MAX),
                ecn=red.ecn,
                frame_us=frame * 8 * 10**6 / bottleneck.rate.mean_bps,
            )
        case Cake():
            return CakeQdisc(memory=queue_bytes)
    return Bfifo(limit=queue_bytes)


def _codel(discipline: CoDel, limit: int, frame: int) -> Codel | FqCodel:
    target, interval = codel_units(discipline.target_ns), codel_units(discipline.interval_ns)
    if isinstance(discipline, FqCoDel):
        quantum = max(frame, _QUANTUM_LEAST)
        return FqCodel(limit=limit, target=target, interval=interval, ecn=discipline.ecn, quantum=quantum)
    return Codel(limit=limit, target=target, interval=interval, ecn=discipline.ecn)


def ticks(rate: int, frame: int) -> int:
    """Return the depth of tbf's bucket for a rate in bytes/s and the longest frame in bytes, in ticks, rounded up."""
    return -(-(frame * 1_000_000_000 + LATENESS_NS * rate) // (rate * TICK_NS))


def codel_units(time_ns: int) -> int:
    """Return a time in CoDel's unit, rounded."""
    return (time_ns + CODEL_UNIT_NS // 2) // CODEL_UNIT_NS
