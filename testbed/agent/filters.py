"""Which packets go to a link's device: by clsact and u32 on the port, matching the source MAC.

A filter by source MAC covers IPv4, IPv6 and ARP alike. u32 is in every kernel that has traffic control at all; its
offsets count from the network header, so the source MAC is at -8 (net/sched/cls_u32.c, `u32_classify`).
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, nla
from pyroute2.netlink.rtnl import RTM_NEWTFILTER
from pyroute2.netlink.rtnl.tcmsg import cls_u32, tcmsg

if TYPE_CHECKING:
    from pyroute2 import AsyncIPRoute

_ETH_P_ALL = 0x0003
_EGRESS = 0xFFFF_FFF3  # TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)
_TC_ACT_STOLEN = 4
_TCA_EGRESS_REDIR = 1
_TERMINAL = 1


class _Options(cls_u32.options):  # type: ignore[misc]
    """u32's options with keys as they are on the wire; pyroute2's own can't express an offset below zero."""

    _nlmsg_base__compiled_nla = False  # pyroute2 compiles `nla_map` once a class; a subclass would inherit the parent's

    class u32_sel(nla):  # type: ignore[misc]  # noqa: N801
        fields = cls_u32.options.u32_sel.fields

        def encode(self) -> None:
            keys: list[tuple[int, int, int]] = self["keys"]
            self["flags"] = _TERMINAL
            self["nkeys"] = len(keys)
            nla.encode(self)
            for mask, value, offset in keys:
                self.data.extend(struct.pack("!IIii", mask, value, 0, 0)[:8] + struct.pack("ii", offset, 0))
            self.length = len(self.data) - self.offset
            struct.pack_into("H", self.data, self.offset, self.length)


class _FilterMessage(tcmsg):  # type: ignore[misc]
    _nlmsg_base__compiled_nla = False

    @staticmethod
    def get_options(_msg: object, *_args: object, **_kwargs: object) -> type[_Options]:
        return _Options


async def prepare(ip: AsyncIPRoute, port: int) -> None:
    """Give a port the hook that filters hang on; nothing happens where it has one."""
    async for qdisc in await ip.tc("dump", index=port):
        if qdisc.get("TCA_KIND") == "clsact":
            return
    await ip.tc("add", "clsact", index=port)


async def redirect(ip: AsyncIPRoute, port: int, priority: int, source_mac: str, device: int) -> None:
    """Send what a node sends to a port to a device instead; the lowest `priority` that matches wins.

    Args:
        ip: in the namespace of the port.
        port: index of the port.
        priority: 1 to 65535, one for each filter of a port.
        source_mac: of the sending node.
        device: index of the device, in the same namespace.
    """
    mac = bytes.fromhex(source_mac.replace(":", ""))
    keys = [(0xFFFF_FFFF, int.from_bytes(mac[:4], "big"), -8), (0xFFFF_0000, int.from_bytes(mac[4:], "big") << 16, -4)]
    parameters = {"action": _TC_ACT_STOLEN, "eaction": _TCA_EGRESS_REDIR, "ifindex": device}
    mirred = {"attrs": [("TCA_MIRRED_PARMS", parameters)]}
    action = {"attrs": [("TCA_ACT_PRIO_1", {"attrs": [("TCA_ACT_KIND", "mirred"), ("TCA_ACT_OPTIONS", mirred)]})]}
    message = _FilterMessage()
    message["index"] = port
    message["parent"] = _EGRESS
    message["info"] = _info(priority)
    message["attrs"] = [
        ("TCA_KIND", "u32"),
        ("TCA_OPTIONS", {"attrs": [("TCA_U32_ACT", action), ("TCA_U32_SEL", {"keys": keys})]}),
    ]
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
    async for _ in await ip.nlm_request(message, msg_type=RTM_NEWTFILTER, msg_flags=flags):
        pass


async def remove(ip: AsyncIPRoute, port: int, priority: int) -> None:
    """Take a filter away; packets that it matched then pass the port untouched."""
    await ip.tc("del-filter", index=port, parent=_EGRESS, info=_info(priority))


def _info(priority: int) -> int:
    """The field `tcm_info` of a filter's message: priority, and protocol in network order."""
    return priority << 16 | socket.htons(_ETH_P_ALL)
