"""Which packets are left for a link after those that come before it have taken theirs.

A set of packets is a list of boxes: ranges of protocol numbers, source ports, destination ports and DSCPs. Both ports
are -1 in packets that have none where a rule can read them: of other protocols, and of later fragments.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from testbed.families import IPV6
from testbed.matching.match import MOST_DSCP, MOST_PORT, MOST_PROTOCOL, PROTOCOLS, WITH_PORTS, Match

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from testbed.matching.match import Ports

NO_PORT = -1
_ANY_PORT = ((NO_PORT, MOST_PORT),)
_OF_IPV6: Mapping[str, str] = MappingProxyType({"icmp": "icmpv6"})

Range = tuple[int, int]


class PacketRanges(NamedTuple):
    """Packets with each number in a range, from its first to its last."""

    protocol: Range
    source_port: Range
    destination_port: Range
    dscp: Range


EPHEMERAL = 32768, 60999
"""The ports that Linux gives to sockets that ask for none (net.ipv4.ip_local_port_range)."""

_EVERYTHING = PacketRanges((0, MOST_PROTOCOL), _ANY_PORT[0], _ANY_PORT[0], (0, MOST_DSCP))


class Packets(NamedTuple):
    """The packets of a program, as far as they are known.

    Attributes:
        protocols: names in `PROTOCOLS`; empty for any.
        source_port, destination_port: None for any.
    """

    protocols: tuple[str, ...] = ()
    source_port: int | None = None
    destination_port: int | None = None

    @property
    def back(self) -> Packets:
        """The packets of its peer."""
        return self._replace(source_port=self.destination_port, destination_port=self.source_port)

    def over(self, family: int) -> Packets:
        """The packets of the same program over a family of IP, 4 or 6: ICMP of IPv6 is a protocol of its own."""
        return (
            self._replace(protocols=tuple(_OF_IPV6.get(name, name) for name in self.protocols))
            if family == IPV6
            else self
        )


def covers(earlier: Collection[Match], match: Match) -> bool:
    """Whether matches together select every packet that `match` selects."""
    return not left_for(match, earlier)


def left_for(match: Match | None, earlier: Collection[Match]) -> list[PacketRanges]:
    """Return the packets that a match selects (None: all), without those that other matches select."""
    rest = [_EVERYTHING] if match is None else _boxes_of(match)
    for other in earlier:
        rest = _without(rest, _boxes_of(other))
    return rest


def lines_that_take(packets: Packets, matches: Sequence[Match]) -> Iterator[Match | None]:
    """Yield the matches that select some of the packets, the first match of a packet only; None if some remain."""
    return _takers(_boxes_of_packets(packets), matches)


def lines_that_take_any(box: PacketRanges, matches: Sequence[Match]) -> Iterator[Match | None]:
    """Yield the matches that select some of the packets in a box, as `lines_that_take` does."""
    return _takers([box], matches)


def _takers(packets: Sequence[PacketRanges], matches: Sequence[Match]) -> Iterator[Match | None]:
    rest = list(packets)
    for match in matches:
        boxes = _boxes_of(match)
        if any(_common(one, other) for one in rest for other in boxes):
            yield match
        rest = _without(rest, boxes)
    if rest:
        yield None


def usual(packets: Packets) -> Iterator[tuple[Match, PacketRanges]]:
    """Yield the packets of a program by protocol, each with a match that names them.

    They are in no fragments, have the default DSCP, and where a port is not known it is one of the `EPHEMERAL` ones.
    """
    ports = packets.source_port, packets.destination_port
    for number in (PROTOCOLS[name] for name in packets.protocols):
        if number in WITH_PORTS:
            source, destination = (EPHEMERAL if port is None else (port, port) for port in ports)
            named = [((port, port),) if port is not None else () for port in ports]
            match = Match(protocol=number, source_port=named[0], destination_port=named[1])
        else:
            source = destination = NO_PORT, NO_PORT
            match = Match(protocol=number)
        yield match, PacketRanges((number, number), source, destination, (0, 0))


def longest(packets: Packets, times_ns: Mapping[Match | None, int]) -> int:
    """Return the longest of the times that packets may take over the links of one direction, ns.

    Args:
        packets: that go there.
        times_ns: by the matches of the links, in the order in which they select packets; None is the plain link's.
    """
    matches = [match for match in times_ns if match]
    lines = lines_that_take(packets, matches) if matches else (None,)
    return max((times_ns.get(line, 0) for line in lines), default=0)


def _boxes_of(match: Match) -> list[PacketRanges]:
    protocols = [(number, number) for number in match.protocols] or [(0, MOST_PROTOCOL)]
    dscp = (0, MOST_DSCP) if match.dscp is None else (match.dscp, match.dscp)
    sides: list[tuple[Ports, Ports]]
    if match.port:
        sides = [(match.port, _ANY_PORT), (_ANY_PORT, match.port)]
    else:
        sides = [(match.source_port or _ANY_PORT, match.destination_port or _ANY_PORT)]
    return [
        PacketRanges(protocol, source, destination, dscp)
        for protocol in protocols
        for sources, destinations in sides
        for source in sources
        for destination in destinations
    ]


def _boxes_of_packets(packets: Packets) -> list[PacketRanges]:
    """The boxes of a program's packets; those with ports may come in fragments, too."""
    dscp, found = (0, MOST_DSCP), list[PacketRanges]()
    source, destination = (
        (0, MOST_PORT) if port is None else (port, port) for port in (packets.source_port, packets.destination_port)
    )
    for number in [PROTOCOLS[name] for name in packets.protocols] or range(MOST_PROTOCOL + 1):
        found.append(PacketRanges((number, number), (NO_PORT, NO_PORT), (NO_PORT, NO_PORT), dscp))
        if number in WITH_PORTS:
            found.append(PacketRanges((number, number), source, destination, dscp))
    return found


def _without(boxes: Sequence[PacketRanges], others: Sequence[PacketRanges]) -> list[PacketRanges]:
    rest = list(boxes)
    for other in others:
        rest = [part for box in rest for part in _cut(box, other)]
    return rest


def _common(one: PacketRanges, other: PacketRanges) -> bool:
    return all(first[0] <= second[1] and second[0] <= first[1] for first, second in zip(one, other, strict=True))


def _cut(box: PacketRanges, other: PacketRanges) -> Iterator[PacketRanges]:
    """Yield the parts of a box that are not in another one."""
    if not _common(box, other):
        yield box
        return
    inner = list(box)
    for side, (low, high) in enumerate(other):
        first, last = inner[side]
        for part in ((first, low - 1), (high + 1, last)):
            if part[0] <= part[1]:
                yield PacketRanges._make([*inner[:side], part, *inner[side + 1 :]])
        inner[side] = max(first, low), min(last, high)
