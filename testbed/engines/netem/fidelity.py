"""What the kernel can do of a shape exactly, what nearly, and what not. All of it follows from the shape alone.

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

    from testbed.impairments import Shape

_EARLY_MOST_NS = LATENESS_NS
"""How early tbf may deliver a full frame before it counts as a compromise: as early as the bucket's slack for late
timers makes frames at any rate. 1514 bytes take that long at 12 Mbit/s."""

_S32_MAX = (1 << 31) - 1
_U16_MAX = (1 << 16) - 1
_MANAGED = ("codel", "fq_codel")


def supports(shape: Shape, *, mtu: int) -> str | None:
    """Why the kernel can't do what a shape asks, or None where it can.

    Args:
        shape: of the link.
        mtu: bytes of an IP packet on the link's network.
    """
    return next(_objections(shape, mtu + ETHERNET_HEADER), None)


def compromises(shape: Shape, *, mtu: int) -> str | None:
    """What the kernel does of a shape that it supports, but not to the letter, or None.

    - tbf sends a frame on when its transmission starts, not when its last bit is out; at a low rate that is
      noticeable.
    - netem's corruption inverts any bit of the frame, not of the packet in it: one in the Ethernet header may lose the
      frame without a wrong checksum, or change nothing.
    - codel's and fq_codel's limit counts packets: as many as full frames fit into the queue.

    Args:
        shape: of the link, one that `supports` has nothing against.
        mtu: bytes of an IP packet on the link's network.
    """
    frame = mtu + ETHERNET_HEADER + shape.overhead_bytes
    early = frame * 8 * 10**9 // shape.rate_bps if shape.rate_bps else 0
    if early > _EARLY_MOST_NS:
        return f"tbf would deliver full frames {early / 1e6:.1f} ms early at this rate"
    if shape.corruption:
        return "netem would corrupt Ethernet headers too"
    if shape.rate_bps and shape.discipline.name in _MANAGED:
        return f"the kernel's {shape.discipline.name} would limit its queue in packets, not in bytes"
    return None


def unrepeatable(shape: Shape) -> str | None:
    """What of a shape differs from run to run even in a kernel that takes a seed, or None.

    Args:
        shape: one that the kernel supports.
    """
    if shape.corruption:
        return "netem chooses the bit to invert without its seed"
    if any(chance.correlation for _, chance in _chances(shape)):
        return "netem starts correlated numbers without its seed"
    if shape.rate_bps and shape.discipline.name == "fq_codel":
        return "fq_codel tells flows apart by a number that the kernel chose when it started"
    return None


def _objections(shape: Shape, frame: int) -> Iterator[str]:
    if shape.drops:
        yield "netem drops no packets by script"
    if shape.trace:
        yield "no queueing discipline follows a trace"
    yield from _objections_to_chances(shape)
    yield from _objections_to_delay(shape)
    if shape.corruption and shape.corruption.fix_checksum:
        yield "netem does not make checksums fit what it corrupted"
    if shape.duplicate and shape.duplicate.probability:
        if shape.loss or shape.loss_model:
            yield "netem draws loss again for the copy of a packet, and a packet lost and duplicated arrives once"
        if shape.corruption:
            yield "netem corrupts the two copies of a packet each by itself"
    if shape.rate_bps:
        yield from _objections_to_bottleneck(shape, frame)


def _chances(shape: Shape) -> Iterator[tuple[str, Chance]]:
    yield "loss", shape.loss_model if isinstance(shape.loss_model, Chance) else Chance(probability=shape.loss)
    if shape.duplicate:
        yield "duplication", shape.duplicate
    if shape.corruption:
        yield "corruption", shape.corruption.chance
    if shape.reorder:
        yield "reordering", shape.reorder.chance


def _objections_to_chances(shape: Shape) -> Iterator[str]:
    for what, chance in _chances(shape):
        if chance.probability == 1 and what != "reordering":
            yield f"the smallest probability of {what} that netem knows is 2 in 2^32, not 1"
        if chance.correlation == 1:
            yield f"the smallest correlation of {what} that netem knows is 2 in 2^32, not 1"


def _objections_to_delay(shape: Shape) -> Iterator[str]:
    if shape.jitter_ns:
        if shape.variation.keeps_order:
            yield "netem reorders packets under jitter"
        if shape.variation.correlation:
            yield "netem picks delays by the low bits of correlated numbers, and only the high bits correlate"
        if shape.jitter_ns > _S32_MAX:
            yield f"netem's jitter is at most {_S32_MAX / 1e9:.3f} s, not {shape.jitter_ns / 1e9:.3f}"
    if shape.reorder and shape.reorder.late_ns:
        yield "netem reorders by sending packets at once, not by holding them longer"
    if shape.reorder and shape.reorder.chance.probability and shape.rate_bps:
        yield "packets that netem reorders bypass the bottleneck"


def _objections_to_bottleneck(shape: Shape, frame: int) -> Iterator[str]:
    if shape.rate_bps % 8:
        yield f"tbf's rate is in whole bytes per second; {shape.rate_bps} bit/s are not"
    elif ticks(shape.rate_bps // 8, frame + shape.overhead_bytes) * TICK_NS > U32_MAX:
        yield f"a frame of {frame} bytes takes longer at {shape.rate_bps} bit/s than the 4.29 s that tbf can count"
    if shape.overhead_bytes > _U16_MAX:
        yield f"tbf's overhead is at most {_U16_MAX} bytes, not {shape.overhead_bytes}"
    if shape.queue_bytes < frame:
        yield f"every frame passes tbf's queue, and one of {frame} bytes would not fit into {shape.queue_bytes}"
    if shape.queue_bytes > U32_MAX:
        yield f"tbf's queue holds at most {U32_MAX} bytes, not {shape.queue_bytes}"
    discipline = shape.discipline
    if discipline.name == "drophead":
        yield "the kernel's pfifo_head_drop counts packets, not bytes"
    if discipline.name in _MANAGED:
        for what, time_ns in (("target", discipline.target_ns), ("interval", discipline.interval_ns)):
            if not 1 <= codel_units(time_ns) <= _S32_MAX:
                yield f"{what} {time_ns} ns: the kernel's CoDel counts in 1024 ns, up to {_S32_MAX} of them"
