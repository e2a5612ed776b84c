"""Which packets go to a link's device: by clsact and u32 on the receiver's port, matching the source MAC.

A rule by source MAC covers IPv4, IPv6, ARP and VLAN tags alike. u32 is in every kernel that has traffic control at all;
its offsets count from the network header, so the source MAC is at -8 (net/sched/cls_u32.c, `u32_classify`).

    root table: ARP and neighbour discovery pass, on an open network
                then -> hash table, by the last byte of the source MAC: one rule per address that is known
                last -> the sink: whatever has a source that no rule knows is dropped, and counted

On an open network the rule to the sink is there only until the port has others: what no rule knows passes.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from testbed.agent.netlink import CREATE, EXCL, ROOT_MATCH, attribute, attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.agent.netlink import Message, RouteSocket

# include/uapi/linux/rtnetlink.h and pkt_sched.h
_NEW_QDISC, _DEL_QDISC, _GET_QDISC = 36, 37, 38
_NEW_FILTER, _DEL_FILTER, _GET_FILTER = 44, 45, 46
_CLSACT, _INGRESS, _EGRESS = 0xFFFF_FFF1, 0xFFFF_FFF2, 0xFFFF_FFF3
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
_PASSING, _TO_TABLE, _TO_SINK = 1, 0x10, 0xFFF  # rules of a table are tried in the order of their numbers
_ROOT_TABLE = 0x800 << 20

_TCMSG = struct.Struct("=BxxxiIII")  # struct tcmsg: family, device, handle, parent, info


def _key(mask: int, value: int, offset: int) -> bytes:
    """What a rule compares: a word of a packet, in network byte order, at an offset from the network header."""
    return struct.pack("!II", mask, value) + struct.pack("=ii", offset, 0)


_ARP = _key(0xFFFF, 0x0806, -4)
_ICMPV6 = _key(0xFFFF, 0x86DD, -4) + _key(0x0000_FF00, 58 << 8, 4)  # next header, at byte 6
_DISCOVERY = (_ICMPV6 + _key(0xFC00_0000, 132 << 24, 40), _ICMPV6 + _key(0xFF00_0000, 136 << 24, 40))


class Hooks(NamedTuple):
    """What hangs on a device's hooks.

    Attributes:
        qdisc: what provides them, `clsact` or `ingress`; None where nothing does.
        ingress, egress: filters hang on that hook.
    """

    qdisc: str | None
    ingress: bool
    egress: bool


def hooks(route: RouteSocket, device: int) -> Hooks:
    """What hangs on the hooks of the device with that index.

    Raises:
        OSError: there is no such device any more.
    """
    listed = route.ask((_GET_QDISC, ROOT_MATCH, _TCMSG.pack(socket.AF_UNSPEC, device, 0, 0, 0)))
    kinds = [
        attributes(body[_TCMSG.size :])[_TCA_KIND].rstrip(b"\0").decode()
        for body in listed
        if _TCMSG.unpack_from(body)[1:3] == (device, _CLSACT_HANDLE)
    ]
    filtered = [
        bool(kinds and route.ask((_GET_FILTER, ROOT_MATCH, _TCMSG.pack(socket.AF_UNSPEC, device, 0, hook, 0))))
        for hook in (_INGRESS, _EGRESS)
    ]
    return Hooks(kinds[0] if kinds else None, *filtered)


def remove(route: RouteSocket, port: int, *, with_hook: bool) -> None:
    """Remove everything that a `PortFilters` has hung on a port, also of another process; the port may have gone.

    Args:
        route: a netlink socket in the namespace of the port.
        port: index of the device.
        with_hook: the port had no hook before. It stays nevertheless if somebody else has hung filters on it.

    Raises:
        OSError: the kernel's refusal.
    """
    gone = (errno.ENODEV, errno.ENOENT, errno.EINVAL)
    route.send([(_DEL_FILTER, 0, _message(port, 0, hook=hook)) for hook in (_EGRESS, _INGRESS)], tolerated=gone)
    if with_hook:
        try:
            found = hooks(route, port)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            raise
        if not found.ingress and not found.egress:
            body = _TCMSG.pack(socket.AF_UNSPEC, port, _CLSACT_HANDLE, _CLSACT, 0)
            route.send([(_DEL_QDISC, 0, body)], tolerated=gone)


class PortFilters:
    """The rules at one port, for what the switch sends to its node.

    Attributes:
        closed: what has an unknown source is dropped. As long as there are no rules, that is everything.
        silenced: what the node sends is dropped too.
    """

    def __init__(self, route: RouteSocket, port: int, sink: int, *, is_open: bool = False) -> None:
        """Nothing is hung on the port yet.

        Args:
            route: a netlink socket in the namespace of the port.
            port: index of the device.
            sink: index of a device there that drops what is sent to it.
            is_open: the port is on an open network.
        """
        self.closed = self.silenced = False
        self._route = route
        self._port = port
        self._sink = sink
        self._is_open = is_open
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

    def silence(self) -> None:
        """Drop what the node sends.

        Raises:
            OSError: the kernel's refusal.
        """
        if not self.silenced:
            self._hook()
            rule = self._rule(_TO_SINK, actions=_redirect(self._sink), flags=CREATE | EXCL, hook=_INGRESS)
            self._route.send([rule])
            self.silenced = True

    def unsilence(self) -> None:
        """Let pass what the node sends.

        Raises:
            OSError: the kernel's refusal.
        """
        if self.silenced:
            self._route.send([(_DEL_FILTER, 0, _message(self._port, 0, hook=_INGRESS))])
            self.silenced = False

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
        if not self._is_open:
            self.close()
        elif self.closed:
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
        body = _TCMSG.pack(socket.AF_UNSPEC, self._port, _CLSACT_HANDLE, _CLSACT, 0)
        with suppress(FileExistsError):
            self._route.send([(_NEW_QDISC, CREATE | EXCL, body + attribute(_TCA_KIND, b"clsact\0"))])
        self._hooked = True

    def _table(self) -> Iterator[Message]:
        """The hash table, and the rule that leads to it; on an open network also those for ARP and its like.

        RFC 4861, section 4: routers and neighbours are asked for, and answer, in ICMPv6 messages of types 133 to 136.
        """
        if self._is_open:
            for number, keys in enumerate((_ARP, *_DISCOVERY)):
                yield self._rule(_PASSING + number, actions=b"", keys=keys, flags=CREATE | EXCL)
        divisor = attribute(_U32_DIVISOR, struct.pack("=I", _BUCKETS))
        yield _NEW_FILTER, CREATE | EXCL, _message(self._port, _TABLE, divisor)
        selector = struct.pack("=BBBxHHhh", 0, 0, 0, 0, 0, 0, -4) + struct.pack("!I", _LAST_BYTE)
        options = attribute(_U32_LINK, struct.pack("=I", _TABLE)) + attribute(_U32_SELECTOR, selector)
        yield _NEW_FILTER, CREATE | EXCL, _message(self._port, _TO_TABLE, options)

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
        keys: bytes = b"",
        flags: int,
        hook: int = _EGRESS,
    ) -> Message:
        """A rule for a source MAC, or for what else `keys` match; for all packets without either."""
        place = b""
        if mac is not None:
            octets = bytes.fromhex(mac.replace(":", "")) + bytes(2)
            keys = _key(0xFFFF_FFFF, int.from_bytes(octets[:4]), -8)
            keys += _key(0xFFFF_0000, int.from_bytes(octets[4:]), -4)
            place = attribute(_U32_HASH, struct.pack("=I", handle & ~0xFFF))
        selector = struct.pack("=BBBxHHhhI", _TERMINAL, 0, len(keys) // 16, 0, 0, 0, 0, 0) + keys
        acting = attribute(_U32_ACTIONS, attribute(1, actions)) if actions else b""
        options = place + acting + attribute(_U32_SELECTOR, selector)
        return _NEW_FILTER, flags, _message(self._port, handle, options, hook=hook)


def _message(port: int, handle: int, options: bytes = b"", *, hook: int = _EGRESS) -> bytes:
    """The body of a message about a filter: `struct tcmsg` and attributes."""
    body = _TCMSG.pack(socket.AF_UNSPEC, port, handle, hook, _INFO)
    return body + attribute(_TCA_KIND, b"u32\0") + (attribute(_TCA_OPTIONS, options) if options else b"")


def _redirect(device: int) -> bytes:
    """The action that sends a packet out of another device; where that has gone, the kernel drops the packet."""
    parameters = struct.pack("=IIiiiiI", 0, 0, _STOLEN, 0, 0, _REDIRECT, device)
    options = attribute(_ACTION_OPTIONS, attribute(_MIRRED_PARAMETERS, parameters))
    return attribute(_ACTION_KIND, b"mirred\0") + options
