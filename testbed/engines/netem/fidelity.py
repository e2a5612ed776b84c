"""Which impairments the kernel carries out exactly, which nearly, and which not at all; it follows from them alone.

What is done exactly may still differ where nobody can see it from outside:

- A certainty in the models of loss with states fails once in 2^32 times; a probability of 2/2^32 or more is exact.
- Gilbert-Elliott's chain moves after each packet, not before it: the first packet after a change meets the good state,
  and the chain is one packet behind from then on.
- Of a duplicated packet the copy goes ahead of the original, each with a delay of its own.
- Delays that vary are a multiple of 1/8192 of the jitter apart. CoDel counts time in 1024 ns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.engines.netem.queues import TICK_NS
from testbed.engines.netem.translation import ETHERNET_HEADER, LATENESS_NS, U32_MAX, codel_units, ticks
from testbed.impairments import Chance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.impairments import Impairments

_EARLY_MOST_NS = LATENESS_NS
"""How early tbf may deliver a full frame before it counts as a compromise: as early as the bucket's slack for late
timers makes frames at any rate. 1514 bytes take that long at 12 Mbit/s."""

_S32_MAX = (1 << 31) - 1
_U16_MAX = (1 << 16) - 1
_MANAGED = ("codel", "fq_codel")


def supports(impairments: Impairments, *, mtu: int) -> str | None:
    """Why the kernel can't do what impairments asks, or None where it can.

    Args:
        impairments: of the link.
        mtu: bytes of an IP packet on the link's network.
    """
    return next(_objections(impairments, mtu + ETHERNET_HEADER), None)


def compromises(impairments: Impairments, *, mtu: int) -> str | None:
    """What the kernel does of impairments that it supports, but not to the letter, or None.

    - tbf sends a frame on when its transmission starts, not when its last bit is out; at a low rate that is
      noticeable.
    - netem's corruption inverts any bit of the frame, not of the packet in it: one in the Ethernet header may lose the
      frame without a wrong checksum, or change nothing.
    - codel's and fq_codel's limit counts packets: as many as full frames fit into the queue.

    Args:
        impairments: of the link, one that `supports` has nothing against.
        mtu: bytes of an IP packet on the link's network.
    """
    frame = mtu + ETHERNET_HEADER + impairments.overhead_bytes
    early = frame * 8 * 10**9 // impairments.rate_bps if impairments.rate_bps else 0
    if early > _EARLY_MOST_NS:
        return f"tbf would deliver full frames {early / 1e6:.1f} ms early at this rate"
    if impairments.corruption:
        return "netem would corrupt Ethernet headers too"
    if impairments.rate_bps and impairments.discipline.name in _MANAGED:
        return f"the kernel's {impairments.discipline.name} would limit its queue in packets, not in bytes"
    return None


def unrepeatable(impairments: Impairments) -> str | None:
    """What of impairments differs from run to run even in a kernel that takes a seed, or None.

    Args:
        impairments: one that the kernel supports.
    """
    if impairments.corruption:
        return "netem chooses the bit to invert without its seed"
    if any(chance.correlation for _, chance in _chances(impairments)):
        return "netem starts correlated numbers without its seed"
    if impairments.rate_bps and impairments.discipline.name == "fq_codel":
        return "fq_codel tells flows apart by a number that the kernel chose when it started"
    return None


def _objections(impairments: Impairments, frame: int) -> Iterator[str]:
    if impairments.drops:
        yield "netem drops no packets by script"
    if impairments.trace:
        yield "no queueing discipline follows a trace"
    yield from _objections_to_chances(impairments)
    yield from _objections_to_delay(impairments)
    if impairments.corruption and impairments.corruption.fix_checksum:
        yield "netem does not make checksums fit what it corrupted"
    if impairments.duplicate and impairments.duplicate.probability:
        if impairments.loss or impairments.loss_model:
            yield "netem draws loss again for the copy of a packet, and a packet lost and duplicated arrives once"
        if impairments.corruption:
            yield "netem corrupts the two copies of a packet each by itself"
    if impairments.rate_bps:
        yield from _objections_to_bottleneck(impairments, frame)


def _chances(impairments: Impairments) -> Iterator[tuple[str, Chance]]:
    yield (
        "loss",
        impairments.loss_model if isinstance(impairments.loss_model, Chance) else Chance(probability=impairments.loss),
    )
    if impairments.duplicate:
        yield "duplication", impairments.duplicate
    if impairments.corruption:
        yield "corruption", impairments.corruption.chance
    if impairments.reorder:
        yield "reordering", impairments.reorder.chance


def _objections_to_chances(impairments: Impairments) -> Iterator[str]:
    for what, chance in _chances(impairments):
        if chance.probability == 1 and what != "reordering":
            yield f"the smallest probability of {what} that netem knows is 2 in 2^32, not 1"
        if chance.correlation == 1:
            yield f"the smallest correlation of {what} that netem knows is 2 in 2^32, not 1"


def _objections_to_delay(impairments: Impairments) -> Iterator[str]:
    if impairments.jitter_ns:
        if impairments.variation.keeps_order:
            yield "netem reorders packets under jitter"
        if impairments.variation.correlation:
            yield "netem picks delays by the low bits of correlated numbers, and only the high bits correlate"
        if impairments.jitter_ns > _S32_MAX:
            yield f"netem's jitter is at most {_S32_MAX / 1e9:.3f} s, not {impairments.jitter_ns / 1e9:.3f}"
    if impairments.reorder and impairments.reorder.late_ns:
        yield "netem reorders by sending packets at once, not by holding them longer"
    if impairments.reorder and impairments.reorder.chance.probability and impairments.rate_bps:
        yield "packets that netem reorders bypass the bottleneck"


def _objections_to_bottleneck(impairments: Impairments, frame: int) -> Iterator[str]:
    if impairments.rate_bps % 8:
        yield f"tbf's rate is in whole bytes per second; {impairments.rate_bps} bit/s are not"
    elif ticks(impairments.rate_bps // 8, frame + impairments.overhead_bytes) * TICK_NS > U32_MAX:
        yield f"a frame of {frame} bytes takes more at {impairments.rate_bps} bit/s than the 4.29 s that tbf can count"
    if impairments.overhead_bytes > _U16_MAX:
        yield f"tbf's overhead is at most {_U16_MAX} bytes, not {impairments.overhead_bytes}"
    if impairments.queue_bytes < frame:
        yield f"every frame passes tbf's queue, and one of {frame} bytes would not fit into {impairments.queue_bytes}"
    if impairments.queue_bytes > U32_MAX:
        yield f"tbf's queue holds at most {U32_MAX} bytes, not {impairments.queue_bytes}"
    discipline = impairments.discipline
    if discipline.name == "drophead":
        yield "the kernel's pfifo_head_drop counts packets, not bytes"
    if discipline.name in _MANAGED:
        for what, time_ns in (("target", discipline.target_ns), ("interval", discipline.interval_ns)):
            if not 1 <= codel_units(time_ns) <= _S32_MAX:
                yield f"{what} {time_ns} ns: the kernel's CoDel counts in 1024 ns, up to {_S32_MAX} of them"
