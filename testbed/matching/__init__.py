"""Which packets a link is for: all that go from one node to another, or those that a match selects."""

from testbed.matching.coverage import (
    NO_PORT,
    PacketRanges,
    Packets,
    covers,
    left_for,
    lines_that_take,
    lines_that_take_any,
    longest,
    usual,
)
from testbed.matching.link_key import ANY_NODE, LinkKey, by_direction, crossed
from testbed.matching.match import DSCP_NAMES, PROTOCOLS, WITH_PORTS, Match, merged

__all__ = [
    "ANY_NODE",
    "DSCP_NAMES",
    "NO_PORT",
    "PROTOCOLS",
    "WITH_PORTS",
    "LinkKey",
    "Match",
    "PacketRanges",
    "Packets",
    "by_direction",
    "covers",
    "crossed",
    "left_for",
    "lines_that_take",
    "lines_that_take_any",
    "longest",
    "merged",
    "usual",
]
