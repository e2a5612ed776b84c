"""Destinations of this machine's routes."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLE = Path("/proc/net/route")


def destinations(table: Path = _TABLE) -> Iterator[IPv4Network]:
    """Destinations of the main table's IPv4 routes, without default ones; none where the kernel is no Linux.

    Columns and the form of addresses (hexadecimal of the word in memory): net/ipv4/fib_trie.c, fib_route_seq_show.
    """
    lines = table.read_text("ascii").splitlines()[1:] if table.exists() else []
    for line in lines:
        _, destination, _, _, _, _, _, mask, *_ = line.split()
        if int(mask, 16):
            yield IPv4Network(f"{_address(destination)}/{_address(mask)}")


def _address(word: str) -> IPv4Address:
    return IPv4Address(int(word, 16).to_bytes(4, sys.byteorder))
