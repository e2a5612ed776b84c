"""The rules with a match of one source at a port, as tables of the u32 classifier.

A list has a rule for each way in which a match may fit. Rules about ports are in a table of their own, which counts
from the end of the IP header. Which packets fit:

- IPv4: DSCP and protocol are in the fixed header. Ports are behind the options, whose length the kernel reads. A later
  fragment has no ports, so a match with ports doesn't take it, as in a router's stateless filter.
- IPv6: the protocol is the next header of the fixed header. Behind extension headers, so also in any fragment, neither
  protocol nor ports are found; DSCPs are.
- VLAN: the kernel keeps one tag apart from the packet (`skb->vlan_tci`), so that what it carries is matched. A packet
  with two tags isn't: its EtherType says VLAN.
- A packet that is no IP packet, such as ARP, is in no match.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from testbed.agent import u32
from testbed.agent.netlink import CREATE, EXCL
from testbed.agent.u32 import Key, Onward
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from testbed.agent.netlink import Message, RouteSocket
    from testbed.matching import Match
    from testbed.matching.match import Ports

_IPV4, _ARP, _IPV6 = 0x0800, 0x0806, 0x86DD
_SOURCE, _DESTINATION = {4: 12, 6: 8}, {4: 16, 6: 24}  # in the header of each version of IP
_HEADER_LENGTH, _TO_BYTES = 0x0F00, 6  # IHL counts words: of the first 16 bits, bits 8 to 11, times 4
_IPV6_BYTES = 40

_NUMBERS = {u32.BY_SOURCE: range(2, 0x500), u32.ONWARD: range(0x601, 0x800)}
"""Of tables at each place, which share numbers; 1 and 0x600 are those that lead to them, 0x5FF is of `known_macs`."""

LINE_NUMBERS = range(0x501, 0x5FF)
"""Of tables of a line (`access`); 0x500 leads to them. As long as a device has any rules, the kernel keeps the tables
that were there before the line."""


class _Way(NamedTuple):
    """A rule of a list: its keys, what happens to packets that fit, and the table that is tried before that."""

    keys: tuple[Key, ...]
    actions: bytes | None
    onward: Onward | None


class Rule(NamedTuple):
    """Where packets of a source go.

    Attributes:
        match: the packets; None for those that no other rule of the source takes.
        device: index of the device that they go to; None: they pass untouched.
    """

    match: Match | None
    device: int | None


class Addressed(NamedTuple):
    """Where packets go that are from, or to, one of some addresses. ARP in the same list passes.

    Attributes:
        addresses: IPv4 and IPv6, or prefixes.
        of_destination: the addresses are those that packets go to, else those that they come from.
        rules: for these packets; what none of them takes passes untouched.
    """

    addresses: frozenset[str]
    of_destination: bool
    rules: tuple[Rule, ...]


Rules = Sequence[Rule | Addressed]
"""Rules in their order. Of those that fit a packet the first counts, but one without a condition is the last."""


def plain_device(rules: Rules) -> int | None:
    """Return the device that packets go to which no rule with a condition takes; None: they pass untouched."""
    return next((rule.device for rule in rules if isinstance(rule, Rule) and rule.match is None), None)


class MatchTables:
    """The tables of all lists at one place of a port. A list is never changed, but replaced by a new one as a whole."""

    def __init__(
        self, route: RouteSocket, port: int, *, place: u32.RulePlace = u32.BY_SOURCE, allowed: range | None = None
    ) -> None:
        """`allowed` are the numbers of its tables, if they are not those of its place."""
        self._route = route
        self._allowed = allowed or _NUMBERS[place]
        self._port = port
        self._place = place
        self._numbers: set[int] = set()

    def make(self, rules: Rules) -> tuple[tuple[int, ...], list[Message]]:
        """Return the numbers of new tables for a source's rules, the list first, and the messages that make them.

        Raises:
            LabError: `too-many-matches`.
        """
        conditional = [rule for rule in rules if isinstance(rule, Addressed) or rule.match]
        if not conditional:
            return (), []
        numbers = [self._new()]
        messages = [self._table(numbers[0])]
        ways: list[_Way] = []
        for rule in conditional:
            if isinstance(rule, Addressed):
                made, more, found = self._addressed(rule)
            else:
                made, more, found = self._matching(rule)
            numbers += made
            messages += more
            ways += found
        for handle, (keys, actions, onward) in enumerate(ways, start=numbers[0] << 20 | 1):
            messages.append(self._rule(handle, keys, actions=actions, onward=onward))
        return tuple(numbers), messages

    def _matching(self, rule: Rule) -> tuple[list[int], list[Message], list[_Way]]:
        """Return the tables behind a rule with a match, what makes them, and the rule's ways in the list."""
        assert rule.match  # noqa: S101  # the others have no condition
        actions, ports = u32.redirect(rule.device), None
        numbers: list[int] = []
        messages: list[Message] = []
        if rule.match.has_ports:
            numbers, messages = self._ports(rule.match, actions)
            ports = numbers[0] << 20
        ways = [_Way(keys, None if onward else actions, onward) for keys, onward in _ways(rule.match, ports)]
        return numbers, messages, ways

    def _addressed(self, rule: Addressed) -> tuple[list[int], list[Message], list[_Way]]:
        """As `_matching`, of a rule about addresses."""
        numbers, messages = self.make(rule.rules)
        onward = Onward(numbers[0] << 20) if numbers else None
        actions = u32.redirect(plain_device(rule.rules))
        ways = [_Way(keys, actions, onward) for keys in _address_keys(rule)]
        return list(numbers), messages, [_Way((_ether_type(_ARP),), b"", None), *ways]

    def keep(self, numbers: Collection[int]) -> None:
        """Delete the other tables. The kernel may still hold some of them: these go the next time."""
        for number in self._numbers - set(numbers):
            try:
                self._route.send([(u32.DELETE_FILTER, 0, u32.message(self._port, number << 20, place=self._place))])
            except OSError:
                continue
            self._numbers.discard(number)

    def forget(self) -> None:
        """Note that all tables have gone."""
        self._numbers.clear()

    def _new(self) -> int:
        """Return a number for a table that is free; it is used from now on."""
        numbers = self._allowed
        number = next((number for number in numbers if number not in self._numbers), None)
        if number is None:
            reason = f"a port has room for {len(numbers)} tables: one per sender with matches, and up to two per match"
            raise LabError("too-many-matches", reason, "use fewer links with a match")
        self._numbers.add(number)
        return number

    def _table(self, number: int) -> Message:
        return u32.NEW_FILTER, CREATE | EXCL, u32.table(self._port, number << 20, place=self._place)

    def _rule(self, handle: int, keys: tuple[Key, ...], *, actions: bytes | None, onward: Onward | None) -> Message:
        body = u32.rule(self._port, handle, keys, actions=actions, onward=onward or u32.STAY, place=self._place)
        return u32.NEW_FILTER, CREATE | EXCL, body

    def _ports(self, match: Match, actions: bytes) -> tuple[list[int], list[Message]]:
        """Return the tables of a match's ports, the one that is tried first at the beginning, and what makes them."""
        first = self._new()
        if not (match.source_port and match.destination_port):
            sources, destinations = match.port or match.source_port, match.port or match.destination_port
            keys = [*_source_ports(sources), *_destination_ports(destinations)]
            return [first], self._alternatives(first, keys, actions=actions)
        second = self._new()
        return [first, second], [
            *self._alternatives(second, _destination_ports(match.destination_port), actions=actions),
            *self._alternatives(first, _source_ports(match.source_port), onward=Onward(second << 20)),
        ]

    def _alternatives(
        self, number: int, keys: Sequence[Key], *, actions: bytes | None = None, onward: Onward | None = None
    ) -> list[Message]:
        """Return the messages for a table with a rule for each key, which all do the same."""
        rules = [
            self._rule(number << 20 | place, (key,), actions=actions, onward=onward)
            for place, key in enumerate(keys, start=1)
        ]
        return [self._table(number), *rules]


def _ways(match: Match, ports: int | None) -> Iterator[tuple[tuple[Key, ...], Onward | None]]:
    """Yield the keys of a match in the IP header, and where its ports are, once for each way in which it may fit.

    Args:
        match: the match.
        ports: handle of the table with the rules about its ports; None if it has none.
    """
    for protocol in match.protocols or (None,):
        ipv4 = [_ether_type(_IPV4)]
        ipv6 = [_ether_type(_IPV6)]
        if match.dscp is not None:
            ipv4.append(Key(0x00FC_0000, match.dscp << 18, 0))
            ipv6.append(Key(0x0FC0_0000, match.dscp << 22, 0))
        if match.has_ports:
            ipv4.append(Key(0x0000_1FFF, 0, 4))  # offset of the fragment
        if protocol is not None:
            ipv4.append(Key(0x00FF_0000, protocol << 16, 8))
            ipv6.append(Key(0x0000_FF00, protocol << 8, 4))
        yield tuple(ipv4), Onward(ports, mask=_HEADER_LENGTH, shift=_TO_BYTES) if ports else None
        yield tuple(ipv6), Onward(ports, fixed=_IPV6_BYTES) if ports else None


def _address_keys(rule: Addressed) -> Iterator[tuple[Key, ...]]:
    """Yield the keys of each address or prefix."""
    for text in sorted(rule.addresses):
        prefix = ipaddress.ip_network(text)
        start = (_DESTINATION if rule.of_destination else _SOURCE)[prefix.version]
        words = struct.iter_unpack("!I", prefix.network_address.packed)
        masks = struct.iter_unpack("!I", prefix.netmask.packed)
        parts = enumerate(zip(masks, words, strict=True))
        keys = [Key(mask, word, start + 4 * place) for place, ((mask,), (word,)) in parts if mask]
        yield _ether_type(_IPV4 if prefix.version == 4 else _IPV6), *keys  # noqa: PLR2004


def _ether_type(value: int) -> Key:
    return Key(0x0000_FFFF, value, -4)


def _source_ports(ports: Ports) -> list[Key]:
    """Return one key per rule for source ports, at the beginning of the TCP or UDP header."""
    return [Key(mask << 16, value << 16, 0) for value, mask in _blocks(ports)]


def _destination_ports(ports: Ports) -> list[Key]:
    """Return one key per rule for destination ports, behind the source port."""
    return [Key(mask, value, 0) for value, mask in _blocks(ports)]


def _blocks(ports: Ports) -> Iterator[tuple[int, int]]:
    """Yield value and mask of the largest blocks that ranges consist of; their sizes are powers of two."""
    for first, last in ports:
        start = first
        while start <= last:
            size = start & -start or 1 << 16
            while start + size - 1 > last:
                size >>= 1
            yield start, 0xFFFF & ~(size - 1)
            start += size
