"""Which packets go to a link's device: by clsact and u32 on the receiver's port, matching the source MAC.

A rule by source MAC covers IPv4, IPv6, ARP and VLAN tags alike. u32 is in every kernel that has traffic control at all;
its offsets count from the network header, so the source MAC is at -8 (net/sched/cls_u32.c, `u32_classify`).

    root table: 1    -> hash table, by the last byte of the source MAC: one rule per address that is known
                last -> the sink: whatever has a source that no rule knows is dropped, and counted

On an open network, which others than the lab's nodes use too, there is no last rule, and the first ones let ARP and the
neighbour discovery of IPv6 pass: nodes there keep their own neighbour tables.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from testbed.agent.netlink import CREATE, EXCL, attribute, attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from testbed.agent.netlink import Message, RouteSocket

# include/uapi/linux/rtnetlink.h and pkt_sched.h
_NEW_QDISC = 36
_NEW_FILTER, _DEL_FILTER, _GET_FILTER = 44, 45, 46
_CLSACT, _EGRESS = 0xFFFF_FFF1, 0xFFFF_FFF3
_CLSACT_HANDLE = 0xFFFF_0000
_TCA_KIND, _TCA_OPTIONS = 1, 2

# include/uapi/linux/pkt_cls.h, tc_act/tc_mirred.h and gen_stats.h
_U32_HASH, _U32_LINK, _U32_DIVISOR, _U32_SELECTOR, _U32_ACTIONS = 2, 3, 4, 5, 7
_TERMINAL = 1
_ACTION_KIND, _ACTION_OPTIONS, _ACTION_STATISTICS = 1, 2, 4
_MIRRED_PARAMETERS, _REDIRECT, _STOLEN = 2, 1, 4
_STATISTICS_BASIC, _STATISTICS_PACKETS64 = 1, 8

_PRIORITY = 1
_INFO = _PRIORITY << 16 | socket.htons(0x0003)  # ETH_P_ALL
_TABLE = 1 << 20
_BUCKETS = 256
_LAST_BYTE = 0x00FF_0000  # of the source MAC, in the word at -4
_TO_NEIGHBOURS, _TO_TABLE, _TO_SINK = 1, 0x10, 0xFFF  # rules of a table are tried in the order of their numbers
_ROOT_TABLE = 0x800 << 20

# Words of a frame that tell the packets by which neighbours are found, each as mask, value and offset: the type of the
# frame (RFC 826), the next header of IPv6 and the type of the ICMPv6 message (RFC 4861, sections 4.3 and 4.4).
_ICMPV6 = (0xFFFF, 0x86DD, -4), (0xFF00, 58 << 8, 4)
_NEIGHBOUR_PACKETS = (
    ((0xFFFF, 0x0806, -4),),
    (*_ICMPV6, (0xFF00_0000, 135 << 24, 40)),
    (*_ICMPV6, (0xFF00_0000, 136 << 24, 40)),
)


class PortFilters:
    """The rules at one port, for what the switch sends to its node.

    Attributes:
        closed: what has an unknown source is dropped. As long as there are no rules, that is everything.
    """

    def __init__(self, route: RouteSocket, port: int, sink: int, *, is_open: bool = False) -> None:
        """`route` is in the namespace of the port; `port` and `sink` are indexes of devices there.

        Where the network `is_open`, rules let what has an unknown source pass, and what finds neighbours.
        """
        self.closed = False
        self._is_open = is_open
        self._route = route
        self._port = port
        self._sink = sink
        self._hooked = False
        self._has_table = False
        self._rules: dict[str, tuple[int, int | None]] = {}
        self._handles: set[int] = set()
        self._dropped_first = 0

    def close(self) -> None:
        """Drop what no rule knows; nothing happens where that is done already.

        Raises:
            OSError: the kernel's refusal.
        """
        if not self.closed:
            self._hook()
            self._route.send([self._rule(_TO_SINK, actions=_redirect(self._sink), flags=CREATE | EXCL)])
            self.closed = True

    def set_rules(self, wanted: Mapping[str, int | None]) -> None:
        """Have these rules and no others. A rule that changes does so at once; packets never find it missing.

        Args:
            wanted: by source MAC the index of the device that its packets go to; None: they pass untouched.

        Raises:
            OSError: the kernel's refusal.
        """
        if self.closed and not self._has_table:
            self._dropped_first = self._dropped()
        self._hook()
        messages = [] if self._has_table else list(self._table())
        rules = {}
        for mac, device in wanted.items():
            handle, present = self._rules.get(mac, (0, None))
            rules[mac] = (handle or self._new_handle(mac), device)
            if not handle or present != device:
                actions = b"" if device is None else _redirect(device)
                messages.append(self._rule(rules[mac][0], actions=actions, mac=mac, flags=CREATE))
        for mac in self._rules.keys() - wanted.keys():
            messages.append((_DEL_FILTER, 0, _message(self._port, self._rules[mac][0])))
        self._route.send(messages)
        self._has_table = True
        self._rules = rules
        self._handles = {handle for handle, _ in rules.values()}
        if self._is_open:
            self._open()
        else:
            self.close()

    def _open(self) -> None:
        """Let what no rule knows pass."""
        if self.closed:
            self._route.send([(_DEL_FILTER, 0, _message(self._port, _ROOT_TABLE | _TO_SINK))])
            self.closed = False

    def clear(self) -> None:
        """Have no rules, and let everything pass."""
        if self.closed or self._has_table:
            self._route.send([(_DEL_FILTER, 0, _message(self._port, 0))])
        self.closed = self._has_table = False
        self._rules = {}
        self._handles = set()

    def dropped(self) -> int:
        """Packets dropped since there are rules, because none knew their source; 0 where the port has gone."""
        return max(0, self._dropped() - self._dropped_first) if self._has_table else 0

    def _dropped(self) -> int:
        if not self.closed:
            return 0
        try:
            (answer,) = self._route.ask((_GET_FILTER, 0, _message(self._port, _ROOT_TABLE | _TO_SINK)))
        except OSError:
            return 0
        actions = attributes(attributes(attributes(answer[20:])[_TCA_OPTIONS])[_U32_ACTIONS])
        counted = attributes(attributes(actions[1])[_ACTION_STATISTICS])
        if _STATISTICS_PACKETS64 in counted:
            return int.from_bytes(counted[_STATISTICS_PACKETS64], sys.byteorder)
        _, packets = struct.unpack_from("=QI", counted[_STATISTICS_BASIC])
        return int(packets)

    def _hook(self) -> None:
        """Give the port the hook that rules hang on, which it may have."""
        if self._hooked:
            return
        body = struct.pack("=BxxxiIII", socket.AF_UNSPEC, self._port, _CLSACT_HANDLE, _CLSACT, 0)
        with suppress(FileExistsError):
            self._route.send([(_NEW_QDISC, CREATE | EXCL, body + attribute(_TCA_KIND, b"clsact\0"))])
        self._hooked = True

    def _table(self) -> Iterator[Message]:
        """The hash table, and the rule that leads to it."""
        divisor = attribute(_U32_DIVISOR, struct.pack("=I", _BUCKETS))
        yield _NEW_FILTER, CREATE | EXCL, _message(self._port, _TABLE, divisor)
        selector = struct.pack("=BBBxHHhh", 0, 0, 0, 0, 0, 0, -4) + struct.pack("!I", _LAST_BYTE)
        options = attribute(_U32_LINK, struct.pack("=I", _TABLE)) + attribute(_U32_SELECTOR, selector)
        yield _NEW_FILTER, CREATE | EXCL, _message(self._port, _TO_TABLE, options)
        for number, words in enumerate(_NEIGHBOUR_PACKETS if self._is_open else ()):
            yield self._rule(_TO_NEIGHBOURS + number, actions=b"", words=words, flags=CREATE | EXCL)

    def _new_handle(self, mac: str) -> int:
        """A handle that is free, in the bucket of a MAC; it is used from now on."""
        first = _TABLE | int(mac[-2:], 16) << 12
        handle = next(each for each in range(first + 1, first + 0xFFF) if each not in self._handles)
        self._handles.add(handle)
        return handle

    def _rule(
        self,
        handle: int,
        *,
        actions: bytes,
        mac: str | None = None,
        words: Iterable[tuple[int, int, int]] = (),
        flags: int,
    ) -> Message:
        """A rule for packets with a source MAC, if that is given, and with words (mask, value, offset)."""
        keys = b"".join(struct.pack("!II", mask, value) + struct.pack("=ii", at, 0) for mask, value, at in words)
        place = b""
        if mac is not None:
            octets = bytes.fromhex(mac.replace(":", ""))
            keys += struct.pack("!I4s", 0xFFFF_FFFF, octets[:4]) + struct.pack("=ii", -8, 0)
            keys += struct.pack("!I4s", 0xFFFF_0000, octets[4:] + bytes(2)) + struct.pack("=ii", -4, 0)
            place = attribute(_U32_HASH, struct.pack("=I", handle & ~0xFFF))
        selector = struct.pack("=BBBxHHhhI", _TERMINAL, 0, len(keys) // 16, 0, 0, 0, 0, 0) + keys
        acting = attribute(_U32_ACTIONS, attribute(1, actions)) if actions else b""
        return _NEW_FILTER, flags, _message(self._port, handle, place + acting + attribute(_U32_SELECTOR, selector))


def _message(port: int, handle: int, options: bytes = b"") -> bytes:
    """The body of a message about a filter: `struct tcmsg` and attributes."""
    body = struct.pack("=BxxxiIII", socket.AF_UNSPEC, port, handle, _EGRESS, _INFO)
    return body + attribute(_TCA_KIND, b"u32\0") + (attribute(_TCA_OPTIONS, options) if options else b"")


def _redirect(device: int) -> bytes:
    """The action that sends a packet out of another device; where that has gone, the kernel drops the packet."""
    parameters = struct.pack("=IIiiiiI", 0, 0, _STOLEN, 0, 0, _REDIRECT, device)
    options = attribute(_ACTION_OPTIONS, attribute(_MIRRED_PARAMETERS, parameters))
    return attribute(_ACTION_KIND, b"mirred\0") + options
