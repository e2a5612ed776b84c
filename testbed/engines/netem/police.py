"""A link's policer in the kernel: tc's `police` at the entrance of the link's device, before netem.

    egress of the ifb   matchall, police: what exceeds the rate is dropped; the rest goes on to netem

matchall can't be changed in place, and a link may not be without its policer for a moment. So the new filter comes
beside the old one, with another priority, before that is removed: the first filter decides.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from socket import htons
from typing import TYPE_CHECKING, Any, Final

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, nla
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTM_DELQDISC, RTM_DELTFILTER, RTM_GETTFILTER, RTM_NEWQDISC, RTM_NEWTFILTER
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from testbed.engines.netem.qdisc_messages import RATES
from testbed.engines.netem.queues import TICK_NS, bucket_ticks
from testbed.errors import LabError

if TYPE_CHECKING:
    from pyroute2 import AsyncIPRoute

    from testbed.impairments import Policer

KIND: Final = "police"

_CLSACT: Final = 0xFFFF_FFF1  # TC_H_CLSACT
_CLSACT_HANDLE: Final = 0xFFFF_0000
_EGRESS: Final = 0xFFFF_FFF3  # TC_H_MIN_EGRESS of it
_ETH_P_ALL: Final = 3
_PRIORITIES: Final = (1, 2)
_SHOT: Final = 2  # TC_ACT_SHOT
_LINKLAYER_ETHERNET: Final = 1
_CELL_LOG: Final = 8  # of a table that the kernel wants and does not use
_TABLE: Final = bytes(1024)
_FRAME_MOST: Final = 1 << 20
_U32_MAX: Final = (1 << 32) - 1


class _PoliceOptions(nla):  # type: ignore[misc]
    """`TCA_ACT_OPTIONS` of police."""

    nla_map = (
        ("TCA_POLICE_UNSPEC", "none"),
        ("TCA_POLICE_TBF", "Parameters"),
        ("TCA_POLICE_RATE", "cdata"),
        ("TCA_POLICE_PEAKRATE", "cdata"),
        ("TCA_POLICE_AVRATE", "uint32"),
        ("TCA_POLICE_RESULT", "uint32"),
        ("TCA_POLICE_TM", "cdata"),
        ("TCA_POLICE_PAD", "none"),
        ("TCA_POLICE_RATE64", "uint64"),
    )

    class Parameters(nla):  # type: ignore[misc]
        """`struct tc_police`."""

        fields = (
            ("index", "I"),
            ("action", "i"),
            ("limit", "I"),
            ("burst", "I"),
            ("mtu", "I"),
            *RATES,
            ("refcnt", "i"),
            ("bindcnt", "i"),
            ("capab", "I"),
        )


class _FilterMessage(tcmsg):  # type: ignore[misc]
    """A message about a matchall filter with one action, police."""

    _nlmsg_base__compiled_nla = False

    class Matchall(nla):  # type: ignore[misc]
        """`TCA_OPTIONS` of matchall."""

        nla_map = (
            ("TCA_MATCHALL_UNSPEC", "none"),
            ("TCA_MATCHALL_CLASSID", "uint32"),
            ("TCA_MATCHALL_ACT", "Actions"),
            ("TCA_MATCHALL_FLAGS", "uint32"),
        )

        class Actions(nla):  # type: ignore[misc]
            """The only action."""

            nla_map = (("TCA_ACT_PRIO_0", "none"), ("TCA_ACT_PRIO_1", "Action"))

            class Action(nla):  # type: ignore[misc]
                """Kind, options and statistics of the action."""

                nla_map = (
                    ("TCA_ACT_UNSPEC", "none"),
                    ("TCA_ACT_KIND", "asciiz"),
                    ("TCA_ACT_OPTIONS", "Police"),
                    ("TCA_ACT_INDEX", "uint32"),
                    ("TCA_ACT_STATS", "Statistics"),
                )

                class Police(_PoliceOptions):
                    """Those of police."""

                class Statistics(nla):  # type: ignore[misc]
                    """The action's statistics."""

                    nla_map = (
                        ("TCA_STATS_UNSPEC", "none"),
                        ("TCA_STATS_BASIC", "cdata"),
                        ("TCA_STATS_RATE_EST", "cdata"),
                        ("TCA_STATS_QUEUE", "Queue"),
                    )

                    class Queue(nla):  # type: ignore[misc]
                        """`struct gnet_stats_queue`."""

                        fields = (
                            ("qlen", "I"),
                            ("backlog", "I"),
                            ("drops", "I"),
                            ("requeues", "I"),
                            ("overlimits", "I"),
                        )

    @staticmethod
    def get_options(_message: tcmsg, *_args: object, **_kwargs: object) -> type[nla]:
        """Return the class of the options of matchall."""
        return _FilterMessage.Matchall


@dataclass(frozen=True, slots=True)
class Police:
    """police's settings that the testbed uses, in the kernel's units.

    Attributes:
        rate: bytes/s.
        burst: depth of the bucket in ticks of transmission at `rate`, rounded up.
    """

    rate: int
    burst: int

    @classmethod
    def of(cls, policer: Policer) -> Police:
        """Return the settings that carry out a policer."""
        rate = policer.rate_bps // 8
        return cls(rate, bucket_ticks(policer.burst_bytes, rate))


def objections(policer: Policer) -> str | None:
    """Return why the kernel can't carry out a policer, or None."""
    if policer.rate_bps % 8:
        return f"police's rate is in whole bytes per second; {policer.rate_bps} bit/s are not"
    if Police.of(policer).burst > _U32_MAX // TICK_NS:
        return f"a burst of {policer.burst_bytes} bytes takes more at {policer.rate_bps} bit/s than police can count"
    return None


async def apply(ip: AsyncIPRoute, index: int, policer: Policer) -> None:
    """Set the policer of a device, in place of the one that it has.

    Raises:
        LabError: `impairments-not-applied`: the kernel refuses, or the settings read back differ.
    """
    wanted = Police.of(policer)
    try:
        await _request(
            ip, RTM_NEWQDISC, NLM_F_CREATE, index=index, parent=_CLSACT, handle=_CLSACT_HANDLE, kind="clsact"
        )
        first, second = _PRIORITIES
        await _remove(ip, index, second)
        await _add(ip, index, second, wanted)
        await _remove(ip, index, first)
        await _add(ip, index, first, wanted)
        await _remove(ip, index, second)
    except NetlinkError as error:
        raise LabError("impairments-not-applied", f"the kernel refuses {wanted} on device {index}: {error}") from error
    if (found := _settings(await _action(ip, index))) != wanted:
        raise LabError("impairments-not-applied", f"police on device {index} is {found}, asked for {wanted}")


async def remove(ip: AsyncIPRoute, index: int) -> None:
    """Remove the policer of a device."""
    await _request(ip, RTM_DELQDISC, 0, index=index, parent=_CLSACT, handle=_CLSACT_HANDLE, kind="clsact")


async def drops(ip: AsyncIPRoute, index: int) -> int:
    """Return how many packets the policer of a device has dropped since it was set.

    Raises:
        LabError: `impairments-missing`: it is gone.
    """
    statistics = (await _action(ip, index)).get_attr("TCA_ACT_STATS")
    return int(statistics.get_attr("TCA_STATS_QUEUE")["drops"])


async def _action(ip: AsyncIPRoute, index: int) -> nla:
    """Return the action of the policer of a device."""
    message = _FilterMessage()
    message["index"], message["parent"] = index, _EGRESS
    flags = NLM_F_REQUEST | NLM_F_DUMP
    answers = [answer async for answer in await ip.nlm_request(message, msg_type=RTM_GETTFILTER, msg_flags=flags)]
    for answer in answers:
        again = _FilterMessage(answer.data, offset=answer.offset)
        again.decode()
        if (options := again.get_attr("TCA_OPTIONS")) and (actions := options.get_attr("TCA_MATCHALL_ACT")):
            return actions.get_attr("TCA_ACT_PRIO_1")
    raise LabError("impairments-missing", f"device {index} of a link has no policer any more")


def _settings(action: nla) -> Police:
    options = action.get_attr("TCA_ACT_OPTIONS")
    parameters = options.get_attr("TCA_POLICE_TBF")
    return Police(options.get_attr("TCA_POLICE_RATE64") or parameters["rate"], parameters["burst"])


async def _add(ip: AsyncIPRoute, index: int, priority: int, police: Police) -> None:
    parameters = dict.fromkeys((name for name, _ in _PoliceOptions.Parameters.fields), 0) | {
        "action": _SHOT,
        "burst": police.burst,
        "mtu": _FRAME_MOST,
        "cell_log": _CELL_LOG,
        "linklayer": _LINKLAYER_ETHERNET,
        "rate": min(police.rate, _U32_MAX),
    }
    options = [("TCA_POLICE_TBF", parameters), ("TCA_POLICE_RATE", _TABLE), ("TCA_POLICE_RESULT", 0)]
    if police.rate > _U32_MAX:
        options.append(("TCA_POLICE_RATE64", police.rate))
    action = {"attrs": [("TCA_ACT_KIND", KIND), ("TCA_ACT_OPTIONS", {"attrs": options})]}
    matchall = {"attrs": [("TCA_MATCHALL_ACT", {"attrs": [("TCA_ACT_PRIO_1", action)]})]}
    await _request(
        ip,
        RTM_NEWTFILTER,
        NLM_F_CREATE | NLM_F_EXCL,
        index=index,
        parent=_EGRESS,
        priority=priority,
        kind="matchall",
        options=matchall,
    )


async def _remove(ip: AsyncIPRoute, index: int, priority: int) -> None:
    try:
        await _request(ip, RTM_DELTFILTER, 0, index=index, parent=_EGRESS, priority=priority, kind="matchall")
    except NetlinkError as error:
        if error.code not in (errno.ENOENT, errno.EINVAL):
            raise


async def _request(
    ip: AsyncIPRoute,
    kind_of_message: int,
    flags: int,
    *,
    index: int,
    parent: int,
    kind: str,
    handle: int = 0,
    priority: int = 0,
    options: dict[str, Any] | None = None,
) -> None:
    message = _FilterMessage()
    message["index"], message["parent"], message["handle"] = index, parent, handle
    if priority:
        message["info"] = priority << 16 | htons(_ETH_P_ALL)
    message["attrs"] = [("TCA_KIND", kind), *([("TCA_OPTIONS", options)] if options else [])]
    flags |= NLM_F_REQUEST | NLM_F_ACK
    _ = [answer async for answer in await ip.nlm_request(message, msg_type=kind_of_message, msg_flags=flags)]
