"""Shapes carried out by the kernel: netem for loss and delay, and under it tbf for the bottleneck.

    root  netem 1:   loss (net/sched/sch_netem.c: at enqueue), then delay
    1:1   tbf 2:     the bottleneck; a packet is enqueued here when netem's delay is over, drops are the queue's

The tree is the same for every shape, and a new shape changes both in place, so packets in flight and in the queue stay
where they are. A shape without a rate has a bottleneck too fast to matter: taking tbf away would drop what waits in it
(and, in kernels without "netem: account for backlog updates from child qdisc" of 2024, confuse netem's count of its
packets until it passes none).

How a tbf differs from a real transmitter: a frame leaves when its transmission starts, not when it ends, so it arrives
up to the transmission time of one frame, and `_LATENESS_NS` more, early. Which frames the full queue drops is
the same: those that wait are counted, with their Ethernet header, and the one in transmission is not.
"""

from __future__ import annotations

import errno
import os
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_ECHO, NLM_F_REPLACE, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTM_GETQDISC, RTM_NEWQDISC, TC_H_ROOT

from testbed.agent.netem.messages import QdiscMessage
from testbed.agent.netem.qdiscs import TICK_NS, Netem, Qdisc, Tbf
from testbed.errors import LabError, MachineError
from testbed.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroute2 import AsyncIPRoute

_PLACES = {Netem.kind: (TC_H_ROOT, 0x0001_0000), Tbf.kind: (0x0001_0001, 0x0002_0000)}
"""Parent and handle of each queueing discipline: 1: at the root, 2: under 1:1."""

_ETHERNET_HEADER = 14
_U32_MAX = (1 << 32) - 1

_LATENESS_NS = 1_000_000
"""How late the timer that wakes tbf may be without loss of rate. The bucket has to hold more than one frame: it is full
at the very moment when the next frame may go, and what it would gain from then on until the timer fires is lost."""

_UNLIMITED = 1 << 40
"""Bytes/s of a bottleneck that is none: 8.8 Tbit/s; its bucket holds a gigabyte, so it delays and drops nothing."""

_IN_FLIGHT_SLACK = 1_000
_IN_FLIGHT_MOST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counters of a link since its first shape; the kernel's are of 32 bits and wrap, but for bytes.

    Attributes:
        packets: delivered.
        bytes: delivered, Ethernet headers included.
        lost: packets that netem dropped: by loss, or because more were in flight than it holds (the kernel counts
            both in one). Too many by those that the queue drops while the counters are read, one after the other.
        overflowed: packets that the bottleneck's full queue dropped.
        queued_packets, queued_bytes: waiting for the bottleneck now.
    """

    packets: int
    bytes: int
    lost: int
    overflowed: int
    queued_packets: int
    queued_bytes: int


def supports(shape: Shape, *, mtu: int) -> str | None:
    """Why the kernel can't do exactly what a shape asks, or None where it can.

    Args:
        shape: of the link.
        mtu: bytes of an IP packet on the link's network.
    """
    return next(_objections(shape, mtu + _ETHERNET_HEADER), None)


def compromises(shape: Shape, *, mtu: int) -> str | None:
    """What the kernel does of a shape that it supports, but not to the letter, or None.

    tbf sends a frame on when its transmission starts, not when its last bit is out; at a low rate that is noticeable.

    Args:
        shape: of the link, one that `supports` has nothing against.
        mtu: bytes of an IP packet on the link's network.
    """
    early = (mtu + _ETHERNET_HEADER) * 8 * 10**9 // shape.rate_bps if shape.rate_bps else 0
    return f"tbf would deliver full frames {early / 1e6:.1f} ms early at this rate" if early > _EARLY_MOST_NS else None


def _objections(shape: Shape, frame: int) -> Iterator[str]:
    if shape.jitter_ns:
        yield "netem reorders packets under jitter"
    if shape.loss == 1:
        yield "the smallest loss that netem knows is 2 in 2^32 packets, not 1"
    if not shape.rate_bps:
        return
    if shape.rate_bps % 8:
        yield f"tbf's rate is in whole bytes per second; {shape.rate_bps} bit/s are not"
    elif _buffer(shape.rate_bps // 8, frame) * TICK_NS > _U32_MAX:
        yield f"a frame of {frame} bytes takes longer at {shape.rate_bps} bit/s than the 4.29 s that tbf can count"
    if shape.queue_bytes < frame:
        yield f"every frame passes tbf's queue, and one of {frame} bytes would not fit into {shape.queue_bytes}"
    if shape.queue_bytes > _U32_MAX:
        yield f"tbf's queue holds at most {_U32_MAX} bytes, not {shape.queue_bytes}"


async def apply(ip: AsyncIPRoute, index: int, shape: Shape, *, mtu: int) -> None:
    """Have a device carry out a shape, instead of the one it had.

    Packets in flight keep their delay, and those in the queue their place; these go at the new rate once the next
    packet comes or the first of them would have gone at the old one. When the delay gets shorter, later packets
    overtake those in flight.

    Args:
        ip: in the namespace of the device.
        index: of the device, an ifb with no other queueing disciplines than from here.
        shape: one that `supports` has nothing against.
        mtu: bytes of an IP packet on the link's network.

    Raises:
        LabError: `shape-not-supported`; `shape-not-applied` where the kernel refuses, or says that it did another
            thing than asked.
    """
    if reason := supports(shape, mtu=mtu):
        raise LabError("shape-not-supported", f"{shape}: {reason}", "use engine: userspace")
    for qdisc in (_delay(shape), _bottleneck(shape, mtu)):
        try:
            found = await _set(ip, index, qdisc)
        except NetlinkError as error:
            raise LabError(
                "shape-not-applied", f"the kernel refuses {qdisc} on device {index}: {_said(error)}"
            ) from error
        if differences := _differences(qdisc, found):
            raise LabError("shape-not-applied", f"{qdisc.kind} on device {index}: {differences}")


async def statistics(ip: AsyncIPRoute, index: int) -> Statistics:
    """What a device that `apply` has set up has done to packets.

    Args:
        ip: in the namespace of the device.
        index: of the device.

    Raises:
        LabError: `shape-missing` where the device is gone or has not the queueing disciplines of `apply`.
    """
    tbf = await _counters(ip, index, Tbf.kind)
    netem = await _counters(ip, index, Netem.kind)
    return Statistics(
        packets=netem["packets"],
        bytes=netem["bytes"],
        lost=(netem["drops"] - tbf["drops"]) & _U32_MAX,  # netem's count includes those that its child refuses
        overflowed=tbf["drops"],
        queued_packets=tbf["qlen"],
        queued_bytes=tbf["backlog"],
    )


async def probe(ip: AsyncIPRoute) -> MachineError | None:
    """Why this kernel can't run the engine, found by trying, or None where it can. Nothing stays behind.

    Args:
        ip: in a namespace where devices may be made.
    """
    name = f"tbprobe{secrets.token_hex(4)}"  # the 15 characters that a name may have
    try:
        await ip.link("add", ifname=name, kind="ifb")
    except NetlinkError as error:
        return _missing("ifb", error)
    try:
        [link] = await ip.link("get", ifname=name)
        shape = Shape(delay_ns=1, rate_bps=8_000_000, queue_bytes=10_000)
        for qdisc in (_delay(shape), _bottleneck(shape, mtu=1500)):
            try:
                await _set(ip, link["index"], qdisc)
            except NetlinkError as error:
                return _missing(f"sch_{qdisc.kind}", error)
    finally:
        await ip.link("del", ifname=name)
    return None


def _missing(module: str, error: NetlinkError) -> MachineError:
    if error.code in (errno.EPERM, errno.EACCES):
        return MachineError(
            "netem-not-permitted",
            f"this process may not try whether the kernel has {module}: {_said(error)}",
            "it needs CAP_NET_ADMIN in its network namespace",
        )
    return MachineError(
        "netem-missing",
        f"this kernel has no {module}: {_said(error)}",
        f"load it by `modprobe {module}`; it is in the package linux-modules-extra-$(uname -r) on Ubuntu, "
        "kernel-modules-extra on Fedora, the kernel's own on Debian; `engine: userspace` needs none",
    )


def _said(error: NetlinkError) -> str:
    return os.strerror(error.code)


def _delay(shape: Shape) -> Netem:
    """The stages loss and delay.

    How many packets are in flight is up to the sender, not to the bottleneck behind: at most one per microsecond here,
    which is more than a core sends, and never more than a million, some 2 GB.
    """
    in_flight = min(shape.delay_ns // 1_000, _IN_FLIGHT_MOST)
    return Netem(limit=_IN_FLIGHT_SLACK + in_flight, delay_ns=shape.delay_ns, loss=max(shape.loss - 1, 0))


def _bottleneck(shape: Shape, mtu: int) -> Tbf:
    """The stage bottleneck. Its bucket holds one frame and what accumulates while the timer is late."""
    if not shape.rate_bps:
        return Tbf(rate=_UNLIMITED, limit=_U32_MAX, buffer=_buffer(_UNLIMITED, 0))
    rate = shape.rate_bps // 8
    return Tbf(rate=rate, limit=shape.queue_bytes, buffer=_buffer(rate, mtu + _ETHERNET_HEADER))


def _buffer(rate: int, frame: int) -> int:
    """Depth of tbf's bucket for a rate in bytes/s and the longest frame in bytes, in ticks, rounded up."""
    return -(-(frame * 1_000_000_000 + _LATENESS_NS * rate) // (rate * TICK_NS))


async def _set(ip: AsyncIPRoute, index: int, qdisc: Qdisc) -> Qdisc:
    """Make a queueing discipline, or change it in place; returns what the kernel then says it is (`NLM_F_ECHO`)."""
    message = QdiscMessage()
    message["index"] = index
    message["parent"], message["handle"] = _PLACES[qdisc.kind]
    message["attrs"] = [("TCA_KIND", qdisc.kind), ("TCA_OPTIONS", qdisc.encode())]
    answer = await _request(ip, message, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE)
    return qdisc.decode(answer.get_attr("TCA_OPTIONS"))


async def _counters(ip: AsyncIPRoute, index: int, kind: str) -> dict[str, int]:
    message = QdiscMessage()
    message["index"] = index
    message["parent"], message["handle"] = _PLACES[kind]
    try:
        answer = await _request(ip, message, RTM_GETQDISC)
    except NetlinkError as error:
        raise LabError("shape-missing", f"no {kind} on device {index}: {_said(error)}") from error
    counters = answer.get_attr("TCA_STATS2")
    return {**counters.get_attr("TCA_STATS_BASIC"), **counters.get_attr("TCA_STATS_QUEUE")}


async def _request(ip: AsyncIPRoute, message: QdiscMessage, kind: int, flags: int = 0) -> QdiscMessage:
    """Send a request, and return the queueing discipline that the kernel answers with, as it is then."""
    flags |= NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO
    answers = [answer async for answer in await ip.nlm_request(message, msg_type=kind, msg_flags=flags)]
    return QdiscMessage.reread(answers[-1])


def _differences(asked: Qdisc, found: Qdisc) -> str:
    """The fields in which two configurations differ, for people to read; empty where they are the same."""
    got = asdict(found)
    return ", ".join(
        f"{name} is {got[name]}, asked for {value}"
        for name, value in asdict(asked).items()
        if got[name] != value and (name, value) != ("seed", None)  # the kernel then took one of its own
    )
