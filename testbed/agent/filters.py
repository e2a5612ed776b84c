"""Which packets go to a link's device: by clsact and u32 on the receiver's port, by source MAC and match.

A rule by source MAC covers IPv4, IPv6, ARP and VLAN tags alike. u32 is in every kernel that has traffic control at all;
its offsets count from the network header, so the source MAC is at -8 (net/sched/cls_u32.c, `u32_classify`).

    by source: ARP and neighbour discovery pass, on an open network
               then -> table of sources, by the last byte of the source MAC: one rule per address that is known
                         -> its rules with a condition, in order (`match_rules`)
               then -> blocks of MACs that are known and have no link (`known_macs`)
    the rest:  the sink: whatever has a source that no rule knows is dropped, and counted
    onward:    of what the node sends, what goes to the MAC of the machine -> its rules with a condition, in order

The rule of a source has an action of its own, for packets that no rule with a match takes: theirs is the plain link.
On an open network the rule to the sink is there only until the port has others: what no rule knows passes.
"""

from __future__ import annotations

import itertools
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

from testbed.agent import u32
from testbed.agent.filter_hooks import add_hook
from testbed.agent.known_macs import BlockRules, KnownMacs
from testbed.agent.match_rules import MatchTables, plain_device
from testbed.agent.netlink import CREATE, EXCL, ROOT_MATCH, attributes
from testbed.agent.u32 import Key, Onward

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.agent.match_rules import Rules
    from testbed.agent.netlink import Message, RouteSocket

# include/uapi/linux/pkt_cls.h and gen_stats.h
_ACTION_STATISTICS = 4
_STATISTICS_BASIC, _STATISTICS_PACKETS64 = 1, 8

_SOURCES = 1 << 20
_ONWARD = 0x600 << 20
_BUCKETS = 256
_LAST_BYTE = 0x00FF_0000  # of the source MAC, in the word at -4
_PASSING, _TO_SOURCES = 1, 0x10  # rules of a table are tried in the order of their numbers

_ARP = (Key(0xFFFF, 0x0806, -4),)
_ICMPV6 = (Key(0xFFFF, 0x86DD, -4), Key(0x0000_FF00, 58 << 8, 4))  # next header, at byte 6
_DISCOVERY = ((*_ICMPV6, Key(0xFC00_0000, 132 << 24, 40)), (*_ICMPV6, Key(0xFF00_0000, 136 << 24, 40)))


NONE_KNOWN = KnownMacs()


class _Source(NamedTuple):
    """What is set for a source: its rules, the handle of its own rule, and the numbers of its tables."""

    rules: Rules
    handle: int
    tables: tuple[int, ...]


class PortFilters:
    """The rules at one port, for what the switch sends to its node.

    Attributes:
        closed: what has an unknown source is dropped. As long as there are no rules, that is everything.
        silenced: what the node sends is dropped too.
    """

    def __init__(self, route: RouteSocket, port: int, sink: int, *, is_open: bool = False) -> None:
        """Attach nothing yet.

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
        self._sources: dict[str, _Source] = {}
        self._handles: set[int] = set()
        self._blocks = BlockRules(port)
        self._tables = MatchTables(route, port)
        self._onward_tables = MatchTables(route, port, place=u32.ONWARD)
        self._onward: tuple[str, Rules] = "", ()
        self._dropped_first = 0

    def close(self) -> None:
        """Drop packets from sources that no rule knows; do nothing if that is so already.

        Raises:
            OSError: the kernel's refusal.
        """
        if not self.closed:
            self._hook()
            self._route.send([self._rule_to_sink(u32.REST)])
            self.closed = True

    def silence(self) -> None:
        """Drop what the node sends.

        Raises:
            OSError: the kernel's refusal.
        """
        if not self.silenced:
            self._hook()
            self._route.send([self._rule_to_sink(u32.ALL_SENT)])
            self.silenced = True

    def unsilence(self) -> None:
        """Let pass what the node sends.

        Raises:
            OSError: the kernel's refusal.
        """
        if self.silenced:
            self._route.send([self._removal(u32.ALL_SENT)])
            self.silenced = False

    def set_rules(self, wanted: Mapping[str, Rules], others: KnownMacs = NONE_KNOWN) -> None:
        """Replace all rules by these. Those of a source change in one step, so that no packet finds them missing.

        Args:
            wanted: by source MAC its rules. Of those that match a packet the first counts; what none of them takes
                passes untouched.
            others: MACs from which everything passes untouched; a MAC that is `wanted` too has its rules.

        Raises:
            OSError: the kernel's refusal.
            LabError: `too-many-matches`.
        """
        if self.closed and not self._has_table:
            self._dropped_first = self._dropped()
        self._hook()
        messages = [] if self._has_table else list(self._table_of_sources())
        sources: dict[str, _Source] = {}
        for mac, rules in {**dict.fromkeys(others.single, ()), **wanted}.items():
            present = self._sources.get(mac)
            if present and present.rules == tuple(rules):
                sources[mac] = present
                continue
            tables, lists = self._tables.make(rules)
            sources[mac] = _Source(tuple(rules), present.handle if present else self._new_handle(mac), tables)
            messages += [*lists, self._rule_of(mac, sources[mac])]
        # A source with a link may join a block: single sources get rules before blocks change, and lose them after.
        messages += itertools.chain(*self._blocks.change(others.blocks))
        for mac in self._sources.keys() - sources.keys():
            messages.append((u32.DELETE_FILTER, 0, u32.message(self._port, self._sources[mac].handle)))
        self._route.send(messages)
        self._has_table = True
        self._sources = sources
        self._handles = {source.handle for source in sources.values()}
        self._tables.keep({number for source in sources.values() for number in source.tables})
        if not self._is_open:
            self.close()
        elif self.closed:
            self._route.send([self._removal(u32.REST)])
            self.closed = False

    def set_onward_rules(self, mac: str, rules: Rules) -> None:
        """Replace all rules for what the node sends to a MAC, which is always the same one; they change in one step.

        Raises:
            OSError: the kernel's refusal.
            LabError: `too-many-matches`.
        """
        wanted = (mac, rules) if rules else ("", ())
        if self._onward == wanted:
            return
        self._hook()
        tables, messages = self._onward_tables.make(rules)
        if rules:
            if not self._onward[0]:
                messages += self._table_onward()
            onward = Onward(tables[0] << 20) if tables else u32.STAY
            octets = bytes(2) + bytes.fromhex(mac.replace(":", ""))
            keys = Key(0xFFFF, int.from_bytes(octets[:4]), -16), Key(0xFFFF_FFFF, int.from_bytes(octets[4:]), -12)
            actions = u32.redirect(plain_device(rules))
            body = u32.rule(self._port, _ONWARD | 1, keys, actions=actions, onward=onward, place=u32.ONWARD)
            messages.append((u32.NEW_FILTER, CREATE, body))
        else:
            messages.append(self._removal(u32.ONWARD))
        self._route.send(messages)
        self._onward = wanted
        if rules:
            self._onward_tables.keep(tables)
        else:
            self._onward_tables.forget()

    @property
    def has_onward_rules(self) -> bool:
        """Whether there are rules for what the node sends to a MAC."""
        return bool(self._onward[1])

    def clear(self) -> None:
        """Remove the rules for what the switch sends, so that all of it passes."""
        places = [(u32.REST, self.closed), (u32.BY_SOURCE, self._has_table)]
        self._route.send([self._removal(place) for place, is_used in places if is_used])
        self.closed = self._has_table = False
        self._sources = {}
        self._handles = set()
        self._blocks.forget()
        self._tables.forget()

    def dropped(self) -> int:
        """Packets dropped since there are rules, because none knew their source; 0 where the port has gone."""
        return max(0, self._dropped() - self._dropped_first) if self._has_table else 0

    def _dropped(self) -> int:
        if not self.closed:
            return 0
        try:
            answers = self._route.ask((u32.GET_FILTER, ROOT_MATCH, u32.message(self._port, 0, place=u32.REST)))
        except OSError:
            return 0
        options = (attributes(attributes(answer[u32.TCMSG.size :]).get(u32.OPTIONS, b"")) for answer in answers)
        found = next((each[u32.ACTIONS] for each in options if u32.ACTIONS in each), None)
        if found is None:
            return 0
        actions = attributes(found)
        counted = attributes(attributes(actions[1])[_ACTION_STATISTICS])
        if _STATISTICS_PACKETS64 in counted:
            return int.from_bytes(counted[_STATISTICS_PACKETS64], sys.byteorder)
        _, packets = struct.unpack_from("=QI", counted[_STATISTICS_BASIC])
        return int(packets)

    def _hook(self) -> None:
        if not self._hooked:
            add_hook(self._route, self._port)
            self._hooked = True

    def _table_of_sources(self) -> Iterator[Message]:
        """The table by source MAC, and the rule that leads to it; on an open network also those for ARP and its like.

        RFC 4861, section 4: routers and neighbours are asked for, and answer, in ICMPv6 messages of types 133 to 136.
        """
        if self._is_open:
            for number, keys in enumerate((_ARP, *_DISCOVERY)):
                yield u32.NEW_FILTER, CREATE | EXCL, u32.rule(self._port, _PASSING + number, keys, actions=b"")
        yield u32.NEW_FILTER, CREATE | EXCL, u32.table(self._port, _SOURCES, _BUCKETS)
        onward = Onward(_SOURCES, hash_mask=_LAST_BYTE, hash_offset=-4)
        yield u32.NEW_FILTER, CREATE | EXCL, u32.rule(self._port, _TO_SOURCES, onward=onward)

    def _table_onward(self) -> Iterator[Message]:
        """The table of what goes to the machine, and the rule that leads to it: its rules can be replaced."""
        yield u32.NEW_FILTER, CREATE | EXCL, u32.table(self._port, _ONWARD, place=u32.ONWARD)
        body = u32.rule(self._port, 1, onward=Onward(_ONWARD), place=u32.ONWARD)
        yield u32.NEW_FILTER, CREATE | EXCL, body

    def _new_handle(self, mac: str) -> int:
        """A handle that is free, in the bucket of a MAC; it is used from now on."""
        first = _SOURCES | int(mac[-2:], 16) << 12
        handle = next(each for each in range(first + 1, first + 0xFFF) if each not in self._handles)
        self._handles.add(handle)
        return handle

    def _rule_of(self, mac: str, source: _Source) -> Message:
        """The rule of a source, which leads to those with a match."""
        octets = bytes.fromhex(mac.replace(":", "")) + bytes(2)
        keys = (
            Key(0xFFFF_FFFF, int.from_bytes(octets[:4]), -8),
            Key(0xFFFF_0000, int.from_bytes(octets[4:]), -4),
        )
        onward = Onward(source.tables[0] << 20) if source.tables else u32.STAY
        actions = u32.redirect(plain_device(source.rules))
        return u32.NEW_FILTER, CREATE, u32.rule(self._port, source.handle, keys, actions=actions, onward=onward)

    def _rule_to_sink(self, place: u32.RulePlace) -> Message:
        """The rule that drops all packets that no rule before it takes."""
        return u32.NEW_FILTER, CREATE | EXCL, u32.rule(self._port, 1, actions=u32.redirect(self._sink), place=place)

    def _removal(self, place: u32.RulePlace) -> Message:
        """The message that removes all rules of a place, and their tables."""
        return u32.DELETE_FILTER, 0, u32.message(self._port, 0, place=place)
