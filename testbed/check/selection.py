"""Choose packets that a link is for, where links of one direction share packets by their matches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from testbed.matching import NO_PORT, PROTOCOLS, WITH_PORTS, left_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.matching import Match, PacketRanges
    from testbed.matching.coverage import Range

_UDP = PROTOCOLS["udp"]
_UNPRIVILEGED = 1024, 65535
"""Among these the kernel chooses the source port of a socket that is not bound."""


class ProbePackets(NamedTuple):
    """What the probes of a link are.

    Attributes:
        protocol: None: UDP datagrams to a socket, from any port. Otherwise raw packets of that IP protocol.
        source_port, destination_port: of protocols that have ports.
    """

    protocol: int | None
    source_port: int
    destination_port: int
    dscp: int

    @property
    def protocol_name(self) -> str:
        """The name of the protocol, as scripted drops have it."""
        names = {number: name for name, number in PROTOCOLS.items()}
        return "udp" if self.protocol is None else names.get(self.protocol, "other")

    @property
    def parameters(self) -> dict[str, int]:
        """The parameters of a udp-stream that sends them."""
        raw = {} if self.protocol is None else {"protocol": self.protocol, "source_port": self.source_port}
        return raw | ({"dscp": self.dscp} if self.dscp else {})


def choose(match: Match | None, matches: Sequence[Match], port: int) -> ProbePackets | None:
    """Return packets that go over a link and none of those before it; None if there are none.

    Args:
        match: of the link; None: those that no match selects.
        matches: of the links of the same direction, in order.
        port: that is free at both ends.
    """
    if not matches:
        return ProbePackets(None, port, port, 0)
    earlier = matches if match is None else matches[: matches.index(match)]
    found = [packets for box in left_for(match, earlier) if (packets := choose_in(box, port))]
    return min(found, key=lambda packets: _effort(packets, port), default=None)


def choose_in(box: PacketRanges, port: int) -> ProbePackets | None:
    """Return packets in a box; None if no such packets can be sent.

    Args:
        box: numbers that the packets may have.
        port: that is free at both ends.
    """
    return min(_in(box, port), key=lambda packets: _effort(packets, port), default=None)


def _in(box: PacketRanges, port: int) -> Iterator[ProbePackets]:
    """Yield a few kinds of packets in a box."""
    for protocol in dict.fromkeys((_UDP, *PROTOCOLS.values(), *box.protocol)):
        if not box.protocol[0] <= protocol <= box.protocol[1]:
            continue
        has_ports = protocol in WITH_PORTS
        source, destination = _near(port, box.source_port), _near(port, box.destination_port)
        lacks_ports = box.source_port[0] == box.destination_port[0] == NO_PORT
        if (source and destination) if has_ports else lacks_ports:
            by_socket = protocol == _UDP and destination == port and _holds(box.source_port, _UNPRIVILEGED)
            yield ProbePackets(None if by_socket else protocol, source or port, destination or port, box.dscp[0])


def _holds(ports: Range, others: Range) -> bool:
    return ports[0] <= others[0] and others[1] <= ports[1]


def _near(port: int, ports: Range) -> int:
    """Return a port in a range: the given one if possible; 0 if there is none."""
    return min(max(port, ports[0]), ports[1]) if ports[1] > 0 else 0


def _effort(packets: ProbePackets, port: int) -> tuple[bool, bool, bool, bool]:
    """Sort packets that need no raw socket first, then UDP, then those of the usual DSCP and ports."""
    usual_ports = (packets.source_port, packets.destination_port) == (port, port)
    return packets.protocol is not None, packets.protocol != _UDP, packets.dscp != 0, not usual_ports
