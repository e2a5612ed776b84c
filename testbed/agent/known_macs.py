"""The rules at a port for nodes that have no link there, whose packets pass.

A network of a thousand nodes would take a thousand such rules at each of a thousand ports. But the MACs of nodes follow
from their addresses, and these from one another. So a rule covers a block of MACs, as a route covers a subnet: all of
its MACs are nodes', and a thousand consecutive ones are some ten blocks and ten single MACs.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from testbed.agent import u32
from testbed.agent.netlink import CREATE, EXCL
from testbed.agent.u32 import Key, Onward

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from testbed.agent.netlink import Message

_TABLE = 0x5FF << 20
_TO_BLOCKS = 0x20  # in the root table, after the rule that leads to those of single sources
_FEWEST = 8
"""MACs of a block: smaller ones are single MACs, which are found by their hash, while blocks are tried in turn."""

_MAC_BITS = 48


class Block(NamedTuple):
    """MACs that have all but their last bits in common: the first one, as a number, and how many there are."""

    first: int
    size: int

    @property
    def keys(self) -> tuple[Key, ...]:
        """What a frame from one of them has before its network header."""
        mask = (1 << _MAC_BITS) - self.size
        high, low = (
            Key(mask >> 16, self.first >> 16, -8),
            Key(mask << 16 & 0xFFFF_0000, self.first << 16 & 0xFFFF_0000, -4),
        )
        return (high, low) if low.mask else (high,)


class KnownMacs(NamedTuple):
    """MACs, each of which is either `single` or in one of the `blocks`."""

    single: frozenset[str] = frozenset()
    blocks: tuple[Block, ...] = ()


class Senders(NamedTuple):
    """Who sends on a network.

    Attributes:
        known: the MACs of all nodes.
        by_node: those of each.
    """

    known: KnownMacs
    by_node: Mapping[str, list[str]]


def senders(nodes: Mapping[str, str]) -> Senders:
    """Return who sends on a network, from its nodes by their MACs."""
    by_node: defaultdict[str, list[str]] = defaultdict(list)
    for mac, node in nodes.items():
        by_node[node].append(mac)
    return Senders(known(nodes), by_node)


def known(macs: Iterable[str]) -> KnownMacs:
    """Combine MACs into blocks as large as possible that contain no other MACs."""
    single: set[str] = set()
    blocks = []
    for block in _blocks(sorted({int(mac.replace(":", ""), 16) for mac in macs})):
        if block.size >= _FEWEST:
            blocks.append(block)
        else:
            octets = (number.to_bytes(_MAC_BITS // 8) for number in range(block.first, block.first + block.size))
            single.update(each.hex(":") for each in octets)
    return KnownMacs(frozenset(single), tuple(sorted(blocks, key=lambda block: (-block.size, block.first))))


def _blocks(numbers: list[int]) -> Iterator[Block]:
    """Split numbers, which are sorted, into the fewest blocks that each begin at a multiple of their size."""
    at = 0
    while at < len(numbers):
        first, size = numbers[at], 1
        while (
            not first & (2 * size - 1)
            and at + 2 * size <= len(numbers)
            and numbers[at + 2 * size - 1] == first + 2 * size - 1
        ):
            size *= 2
        yield Block(first, size)
        at += size


class BlockRules:
    """The rules for blocks at one port.

    Args:
        port: index of the device.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers: dict[Block, int] = {}
        self._has_table = False

    def change(self, wanted: Iterable[Block]) -> tuple[list[Message], list[Message]]:
        """Return the messages that add rules, and those that remove the ones that are not wanted any more.

        Those that add come first: no packet then finds the rule missing that it had before.
        """
        blocks = list(dict.fromkeys(wanted))
        added: list[Message] = []
        if blocks and not self._has_table:
            self._has_table = True
            added = [
                (u32.NEW_FILTER, CREATE | EXCL, u32.table(self._port, _TABLE)),
                (u32.NEW_FILTER, CREATE | EXCL, u32.rule(self._port, _TO_BLOCKS, onward=Onward(_TABLE))),
            ]
        used = set(self._numbers.values())
        free = (number for number in range(1, u32.MOST_NUMBER) if number not in used)
        numbers = {block: self._numbers[block] if block in self._numbers else next(free) for block in blocks}
        for block in numbers.keys() - self._numbers.keys():
            body = u32.rule(self._port, _TABLE | numbers[block], block.keys, actions=b"")
            added.append((u32.NEW_FILTER, CREATE | EXCL, body))
        gone = [self._numbers[block] for block in self._numbers.keys() - numbers.keys()]
        self._numbers = numbers
        return added, [(u32.DELETE_FILTER, 0, u32.message(self._port, _TABLE | number)) for number in gone]

    def forget(self) -> None:
        """Note that the port has no rules any more."""
        self._numbers, self._has_table = {}, False
