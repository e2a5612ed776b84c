"""Set, read back, count and probe the queueing disciplines of a link's device.

netem causes loss and delay; tbf below it is the bottleneck, with its queue.

The tree (`testbed.engines.netem.translation`) has the same form for all impairments. New impairments change all of its
disciplines in place, so packets in flight and in the queue stay where they are.

A tbf differs from a real transmitter: a frame leaves when its transmission starts, not when it ends, so it arrives
early by up to the transmission time of one frame plus `LATENESS_NS`. The full queue drops the same frames: it counts
the waiting frames with their Ethernet headers, but not the frame being sent.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_ECHO, NLM_F_REPLACE, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTM_GETQDISC, RTM_NEWQDISC, TC_H_ROOT

from testbed.engines.counters import Counters
from testbed.engines.netem import police
from testbed.engines.netem.active_queues import CakeQdisc, PieQdisc, RedQdisc, statistics_of
from testbed.engines.netem.fidelity import supports
from testbed.engines.netem.presence import missing_module
from testbed.engines.netem.qdisc_messages import QdiscMessage
from testbed.engines.netem.qdiscs import Netem
from testbed.engines.netem.queues import Bfifo, Codel, FqCodel, Tbf
from testbed.engines.netem.translation import emulator, translate
from testbed.errors import LabError, MachineError
from testbed.impairments import Bottleneck, Cake, FixedRate, Impairments, Pie, Policer, Red

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pyroute2 import AsyncIPRoute

    from testbed.engines.netem.translation import Qdisc

_ROOT, _BOTTLENECK = 0x0001_0000, 0x0002_0000
_PLACES = {
    Netem.kind: (TC_H_ROOT, _ROOT),
    Tbf.kind: (_ROOT | 1, _BOTTLENECK),
    Bfifo.kind: (_BOTTLENECK | 1, 0x0003_0000),
    Codel.kind: (_BOTTLENECK | 1, 0x0004_0000),
    FqCodel.kind: (_BOTTLENECK | 1, 0x0005_0000),
    PieQdisc.kind: (_BOTTLENECK | 1, 0x0006_0000),
    RedQdisc.kind: (_BOTTLENECK | 1, 0x0007_0000),
    CakeQdisc.kind: (_BOTTLENECK | 1, 0x0008_0000),
}
"""Parent and handle of each queueing discipline."""

_UNREADABLE = ("delay_table", "frame_us")
_TRIED_SEED = 1
_U32_MAX = (1 << 32) - 1


async def apply(ip: AsyncIPRoute, index: int, impairments: Impairments, *, mtu: int, seed: int | None = None) -> None:
    """Apply impairments to a device, replacing those that it had.

    Packets in flight keep their delay, and those in the queue their place; these are sent at the new rate once the
    next packet arrives or the first of them would have been sent at the old rate. When the delay gets shorter, later
    packets overtake those in flight. Another queue discipline drops the packets in the queue.

    Args:
        ip: in the namespace of the device.
        index: of the device, an ifb with no other queueing disciplines than from here.
        impairments: of the link, for which `supports` returns None.
        mtu: bytes of an IP packet on the link's network.
        seed: of netem's random numbers, 64 bits; the sequence starts again whenever impairments are applied. If None,
            the kernel chooses a seed.

    Raises:
        LabError: `impairments-not-supported`; `impairments-not-applied` if the kernel refuses, or if the settings read
            back differ, such as the seed if `reproducible` gives a reason. Only the table of delays can't be read back.
    """
    if reason := supports(impairments, mtu=mtu):
        raise LabError("impairments-not-supported", f"{impairments}: {reason}", "use engine: userspace")
    for qdisc in translate(impairments, mtu=mtu, seed=seed):
        try:
            found = await _set(ip, index, qdisc)
        except NetlinkError as error:
            raise LabError(
                "impairments-not-applied", f"the kernel refuses {qdisc} on device {index}: {_said(error)}"
            ) from error
        if differences := _differences(qdisc, found):
            raise LabError("impairments-not-applied", f"{qdisc.kind} on device {index}: {differences}")


async def counters(ip: AsyncIPRoute, index: int) -> Counters:
    """Return the counters of a device since its first impairments.

    The kernel's counters are of 32 bits and wrap, but for bytes.

    Args:
        ip: in the namespace of the device.
        index: of the device.

    Raises:
        LabError: `impairments-missing` where the device is gone or has not the queueing disciplines of `apply`.
    """
    tbf = await _counted(ip, index, *_PLACES[Tbf.kind])
    netem = await _counted(ip, index, *_PLACES[Netem.kind])
    queue = await _counted(ip, index, _BOTTLENECK | 1)
    early = (queue["drops"] - queue.get("drop_overlimit", queue["drops"])) & _U32_MAX
    return Counters(
        packets_out=netem["packets"],
        bytes_out=netem["bytes"],
        lost=(netem["drops"] - tbf["drops"]) & _U32_MAX,  # netem's count includes those of its child
        queue_drops=(tbf["drops"] - early) & _U32_MAX,  # and tbf's those that CoDel dropped
        early_drops=early,
        marked=queue.get("ecn_mark", 0),
        queued=tbf["qlen"],
        queued_bytes=tbf["backlog"],
    )


async def probe(ip: AsyncIPRoute) -> MachineError | None:
    """Test whether this kernel can run the engine; return why not, or None. Nothing stays behind.

    Args:
        ip: in a namespace where devices may be made.
    """
    try:
        async with _scratch(ip) as index:
            bottleneck = Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=10_000)
            for qdisc in translate(Impairments(delay_ns=1, bottleneck=bottleneck), mtu=1500):
                try:
                    await _set(ip, index, qdisc)
                except NetlinkError as error:
                    return _missing(f"sch_{qdisc.kind}", error)
    except NetlinkError as error:
        return _missing("ifb", error)
    return None


async def missing_parts(ip: AsyncIPRoute) -> frozenset[str]:
    """Return the kinds of queueing disciplines, and `police`, that only some kernels have and this one does not.

    Args:
        ip: in a namespace where devices may be made, of a kernel that `probe` has nothing against.
    """
    missing = set()
    async with _scratch(ip) as index:
        for discipline in (Pie(), Cake(), Red(min_bytes=10_000, max_bytes=20_000, gentle=False)):
            bottleneck = Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=100_000, discipline=discipline)
            for qdisc in translate(Impairments(bottleneck=bottleneck), mtu=1500):
                try:
                    await _set(ip, index, qdisc)
                except NetlinkError:
                    missing.add(qdisc.kind)
        try:
            await police.apply(ip, index, Policer(rate_bps=8_000_000, burst_bytes=10_000))
        except LabError:
            missing.add(police.KIND)
    return frozenset(missing)


async def reproducible(ip: AsyncIPRoute) -> str | None:
    """Test whether netem repeats a sequence from a seed; return why not, or None.

    Args:
        ip: in a namespace where devices may be made, of a kernel that `probe` has nothing against.
    """
    async with _scratch(ip) as index:
        asked = emulator(Impairments(), _TRIED_SEED)
        found = await _set(ip, index, asked)
    return "this kernel's netem takes no seed (Linux 6.6 and later do)" if _differences(asked, found) else None


@asynccontextmanager
async def _scratch(ip: AsyncIPRoute) -> AsyncIterator[int]:
    """A context with a device for tests."""
    name = f"tbprobe{secrets.token_hex(4)}"  # the 15 characters that a name may have
    await ip.link("add", ifname=name, kind="ifb")
    try:
        [link] = await ip.link("get", ifname=name)
        yield link["index"]
    finally:
        await ip.link("del", ifname=name)


def _missing(module: str, error: NetlinkError) -> MachineError:
    if error.code in (errno.EPERM, errno.EACCES):
        return MachineError(
            "netem-not-permitted",
            f"this process may not try whether the kernel has {module}: {_said(error)}",
            "it needs CAP_NET_ADMIN in its network namespace",
        )
    return missing_module(module, _said(error))


def _said(error: NetlinkError) -> str:
    return os.strerror(error.code)


async def _set(ip: AsyncIPRoute, index: int, qdisc: Qdisc) -> Qdisc:
    """Make a queueing discipline, or change it in place; return what the kernel reads back (`NLM_F_ECHO`)."""
    message = QdiscMessage()
    message["index"] = index
    message["parent"], message["handle"] = _PLACES[qdisc.kind]
    message["attrs"] = [("TCA_KIND", qdisc.kind), ("TCA_OPTIONS", qdisc.encode())]
    answer = await _request(ip, message, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE)
    return qdisc.decode(answer.get_attr("TCA_OPTIONS"))


async def _counted(ip: AsyncIPRoute, index: int, parent: int, handle: int = 0) -> dict[str, Any]:
    """Return the counters of the queueing discipline with a handle, or of the only one."""
    message = QdiscMessage()
    message["index"] = index
    message["parent"], message["handle"] = parent, handle
    try:
        answer = await _request(ip, message, RTM_GETQDISC)
    except NetlinkError as error:
        where = f"{parent >> 16:x}:{parent & 0xFFFF:x} of device {index}"
        raise LabError("impairments-missing", f"no queueing discipline of a link at {where}: {_said(error)}") from error
    counters = answer.get_attr("TCA_STATS2")
    return {
        **statistics_of(answer.get_attr("TCA_KIND"), counters.get_attr("TCA_STATS_APP")),
        **counters.get_attr("TCA_STATS_BASIC"),
        **counters.get_attr("TCA_STATS_QUEUE"),
    }


async def _request(ip: AsyncIPRoute, message: QdiscMessage, kind: int, flags: int = 0) -> QdiscMessage:
    """Send a request, and return the queueing discipline that the kernel answers with, as it is then."""
    flags |= NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO
    answers = [answer async for answer in await ip.nlm_request(message, msg_type=kind, msg_flags=flags)]
    return QdiscMessage.reread(answers[-1])


def _differences(asked: Qdisc, found: Qdisc) -> str:
    """Describe the fields in which two configurations differ; empty if there are none."""
    got = asdict(found)
    return ", ".join(
        f"{name} is {got[name]}, asked for {value}"
        for name, value in asdict(asked).items()
        if got[name] != value
        and name not in _UNREADABLE
        and (name, value) != ("seed", None)  # then it took one of its own
    )
