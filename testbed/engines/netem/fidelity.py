"""Which impairments the kernel carries out exactly, nearly or not at all, judged from the impairments alone.

Exact means that no difference can be observed from outside. These differences remain:

- In loss models with states a probability of 1 is 1 - 1/2^32; a probability of 2/2^32 or more is exact.
- The Gilbert-Elliott chain moves after each packet, not before it: the first packet after a change is in the good
  state, and the chain is one packet behind from then on.
- The copy of a duplicated packet precedes the original, and each has its own delay.
- Varying delays differ by multiples of 1/8192 of the jitter. CoDel counts time in units of 1024 ns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.engines.netem.active_queues import RED_W_LOG
from testbed.engines.netem.police import objections as police_objections
from testbed.engines.netem.queues import TICK_NS, bucket_ticks
from testbed.engines.netem.translation import ETHERNET_HEADER, LATENESS_NS, U32_MAX, codel_units, ticks
from testbed.impairments import (
    Cake,
    CoDel,
    CorrelatedLoss,
    DropHead,
    DualPi2,
    FqCoDel,
    IndependentLoss,
    Pie,
    Red,
    TokenBucket,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.impairments import Bottleneck, Discipline, Impairments

_EARLY_MOST_NS = LATENESS_NS
"""How early tbf may deliver a full frame before that counts as a compromise. The bucket's allowance for late timers
makes frames early by as much at any rate. 1514 bytes take that long at 12 Mbit/s."""

_RED_LENGTH_MOST = 1 << 32 - RED_W_LOG
"""Up to which length red's average, which is stored in units of its weight, fits into 32 bits."""

_S32_MAX = (1 << 31) - 1
_U16_MAX = (1 << 16) - 1


def supports(impairments: Impairments, *, mtu: int) -> str | None:
    """Return why the kernel can't carry out impairments, or None if it can.

    Args:
        impairments: of the link.
        mtu: bytes of an IP packet on the link's network.
    """
    return next(_objections(impairments, mtu + ETHERNET_HEADER), None)


def compromises(impairments: Impairments, *, mtu: int) -> str | None:
    """Return how the kernel deviates from impairments that it supports, or None if it does not.

    - tbf sends a frame on when its transmission starts, not when its last bit is out; at a low rate that is
      noticeable.
    - netem's corruption inverts any bit of the frame, not of the packet in it: one in the Ethernet header may lose the
      frame without a wrong checksum, or change nothing.
    - codel's, fq_codel's and pie's limit counts packets: as many as full frames fit into the queue. cake's counts
      memory.
    - pie computes its probability when the kernel's clock ticks; red drops what waits when its settings change.

    Args:
        impairments: of the link, for which `supports` returns None.
        mtu: bytes of an IP packet on the link's network.
    """
    bottleneck = impairments.bottleneck
    if bottleneck:
        frame = mtu + ETHERNET_HEADER + bottleneck.overhead_bytes
        rate, at_once_bps = "rate", bottleneck.rate.mean_bps
        if isinstance(bottleneck.rate, TokenBucket):
            rate, at_once_bps = "peak", bottleneck.rate.peak_bps
        early = frame * 8 * 10**9 // at_once_bps if at_once_bps else 0
        if early > _EARLY_MOST_NS:
            return f"tbf would deliver full frames {early / 1e6:.1f} ms early at this {rate}"
    if impairments.corruption:
        return "netem would corrupt Ethernet headers too"
    return _compromises_of(bottleneck.discipline) if bottleneck else None


def _compromises_of(discipline: Discipline) -> str | None:
    match discipline:
        case CoDel():
            return f"the kernel's {discipline.kind} would limit its queue in packets, not in bytes"
        case Pie():
            return "the kernel's pie would limit its queue in packets, and compute in ticks of the kernel's clock"
        case Red():
            return "the kernel's red would lose the packets that wait when its settings change"
        case Cake():
            return "the kernel's cake would limit its queue in memory, not in bytes of frames"
    return None


def unrepeatable(impairments: Impairments) -> str | None:
    """Return which of the impairments differ from run to run even in a kernel that takes a seed, or None.

    Args:
        impairments: of the link, for which `supports` returns None.
    """
    if impairments.corruption:
        return "netem chooses the bit to invert without its seed"
    if any(correlation for _, _, correlation in _random_events(impairments)):
        return "netem starts correlated numbers without its seed"
    discipline = impairments.bottleneck.discipline if impairments.bottleneck else None
    if isinstance(discipline, FqCoDel | Cake):
        return f"{discipline.kind} tells flows apart by a number that the kernel chose when it started"
    if isinstance(discipline, Pie | Red):
        return f"{discipline.kind} drops by random numbers of the kernel"
    return None


def _objections(impairments: Impairments, frame: int) -> Iterator[str]:
    if impairments.drops:
        yield "netem drops no packets by script"
    if impairments.traces:
        yield "no queueing discipline follows a trace"
    if impairments.policer and (reason := police_objections(impairments.policer)):
        yield reason
    yield from _objections_to_events(impairments)
    yield from _objections_to_delay(impairments)
    if impairments.corruption and impairments.corruption.fix_checksum:
        yield "netem does not make checksums fit what it corrupted"
    if impairments.duplicate:
        if impairments.loss:
            yield "netem draws loss again for the copy of a packet, and a packet lost and duplicated arrives once"
        if impairments.corruption:
            yield "netem corrupts the two copies of a packet each by itself"
    if impairments.bottleneck:
        yield from _objections_to_bottleneck(impairments.bottleneck, frame)


def _random_events(impairments: Impairments) -> Iterator[tuple[str, int, int]]:
    """Yield the name, probability and correlation of each random event that has no states."""
    match impairments.loss:
        case IndependentLoss(probability=probability):
            yield "loss", probability, 0
        case CorrelatedLoss(probability=probability, correlation=correlation):
            yield "loss", probability, correlation
    for name, event in (
        ("duplication", impairments.duplicate),
        ("corruption", impairments.corruption.event if impairments.corruption else None),
        ("reordering", impairments.reorder.event if impairments.reorder else None),
    ):
        if event:
            yield name, event.probability, event.correlation


def _objections_to_events(impairments: Impairments) -> Iterator[str]:
    for name, probability, correlation in _random_events(impairments):
        if probability == 1 and name != "reordering":
            yield f"the smallest probability of {name} that netem knows is 2 in 2^32, not 1"
        if correlation == 1:
            yield f"the smallest correlation of {name} that netem knows is 2 in 2^32, not 1"


def _objections_to_delay(impairments: Impairments) -> Iterator[str]:
    jitter, reorder = impairments.jitter, impairments.reorder
    if jitter:
        if jitter.keeps_order:
            yield "netem reorders packets under jitter"
        if jitter.correlation:
            yield "netem picks delays by the low bits of correlated numbers, and only the high bits correlate"
        if jitter.ns > _S32_MAX:
            yield f"netem's jitter is at most {_S32_MAX / 1e9:.3f} s, not {jitter.ns / 1e9:.3f}"
    if reorder and reorder.late_ns:
        yield "netem reorders by sending packets at once, not by holding them longer"
    if reorder and impairments.bottleneck:
        yield "packets that netem reorders bypass the bottleneck"


def _objections_to_bottleneck(bottleneck: Bottleneck, frame: int) -> Iterator[str]:
    rate_bps, queue_bytes, overhead_bytes = bottleneck.rate.mean_bps, bottleneck.queue_bytes, bottleneck.overhead_bytes
    if isinstance(bottleneck.rate, TokenBucket):
        yield from _objections_to_burst(bottleneck.rate, frame + overhead_bytes)
    if rate_bps % 8:
        yield f"tbf's rate is in whole bytes per second; {rate_bps} bit/s are not"
    elif ticks(rate_bps // 8, frame + overhead_bytes) * TICK_NS > U32_MAX:
        yield f"a frame of {frame} bytes takes more at {rate_bps} bit/s than the 4.29 s that tbf can count"
    if overhead_bytes > _U16_MAX:
        yield f"tbf's overhead is at most {_U16_MAX} bytes, not {overhead_bytes}"
    if queue_bytes < frame:
        yield f"every frame passes tbf's queue, and one of {frame} bytes would not fit into {queue_bytes}"
    if queue_bytes > U32_MAX:
        yield f"tbf's queue holds at most {U32_MAX} bytes, not {queue_bytes}"
    yield from _objections_to_discipline(bottleneck.discipline)


def _objections_to_burst(bucket: TokenBucket, frame: int) -> Iterator[str]:
    if bucket.peak_bps % 8:
        yield f"tbf's peak is in whole bytes per second; {bucket.peak_bps} bit/s are not"
    least = frame + LATENESS_NS * bucket.bps // (8 * 10**9)
    if bucket.burst_bytes < least:
        yield f"tbf loses tokens of a burst of less than {least} bytes whenever its timer is late"
    if bucket_ticks(bucket.burst_bytes, max(bucket.bps // 8, 1)) > U32_MAX:
        yield f"a burst of {bucket.burst_bytes} bytes takes more than the 275 s that tbf can count"


def _objections_to_discipline(discipline: Discipline) -> Iterator[str]:
    match discipline:
        case DropHead():
            yield "the kernel's pfifo_head_drop counts packets, not bytes"
        case DualPi2():
            yield "this engine does not use sch_dualpi2, which kernels have from Linux 6.17 on"
        case Pie(update_ns=update_ns) if update_ns != Pie().update_ns:
            yield "the kernel's pie computes every 15 ms, in ticks of its clock"
        case Pie(target_ns=target_ns) if target_ns > U32_MAX:
            yield f"pie's target is at most 4.29 s, not {target_ns / 1e9:.3f}"
        case Red(gentle=True):
            yield "the kernel's red drops all packets above max (gentle: false)"
        case Red(max_bytes=max_bytes) if max_bytes >= _RED_LENGTH_MOST:
            yield f"the kernel's red has thresholds of less than {_RED_LENGTH_MOST} bytes, not {max_bytes}"
        case CoDel(target_ns=target_ns, interval_ns=interval_ns):
            for name, time_ns in (("target", target_ns), ("interval", interval_ns)):
                if not 1 <= codel_units(time_ns) <= _S32_MAX:
                    yield f"{name} {time_ns} ns: the kernel's CoDel counts in 1024 ns, up to {_S32_MAX} of them"
