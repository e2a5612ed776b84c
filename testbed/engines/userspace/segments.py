"""Frames of segmentation offload as the packets that they are on the wire, and packets with an unfinished checksum.

A sender with segmentation offload hands over up to 64 KB of TCP or UDP as one frame, and leaves it to the network card
to cut it into packets. A packet socket with PACKET_VNET_HDR (packet(7)) passes such a frame together with a
`struct virtio_net_hdr` (linux/virtio_net.h), which says how to cut it and where the checksums belong.

Here such a frame is an `Offloaded`, and a `SegmentTrain` is some successive packets of it. A link decides the fate of
each of these packets. Those that share it stay one train, which is sent as one frame; where fates or times differ, the
train is cut as the kernel would (net/ipv4/tcp_offload.c `tcp_gso_segment`, net/ipv4/udp_offload.c `__udp_gso_segment`,
`inet_gso_segment`, `ipv6_gso_segment`).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, final

from testbed.engines.userspace import headers
from testbed.linux import vlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VIRTIO: Final = struct.Struct("=BBHHHH")
"""`struct virtio_net_hdr`: flags, type, bytes of headers, bytes of a packet's payload, start and offset of a checksum.

All are in the machine's byte order.
"""

COMPLETE: Final = bytes(VIRTIO.size)
"""The header of a single packet whose checksums are filled in."""

FRAME_BYTES_MOST: Final = 65535 + headers.ETHERNET + 2 * vlan.TAG_BYTES
"""Bytes of the largest frame: an IP packet in two VLAN tags."""

_NEEDS_CHECKSUM: Final = 1
_CHECKSUM_VALID: Final = 2
_TCP4, _TCP6, _UDP = 1, 4, 5
_ECN: Final = 0x80
_ETHERTYPES: Final = {_TCP4: (b"\x08\x00",), _TCP6: (b"\x86\xdd",), _UDP: (b"\x08\x00", b"\x86\xdd")}
_TCP_CHECKSUM_AT, _UDP_CHECKSUM_AT = 16, 6
_UDP_HEADER: Final = 8
_IPV6_HEADER: Final = 40
_FIN_PSH: Final = 0b1001
_CWR: Final = 0x80


class Unsummed(bytes):
    """A packet whose TCP or UDP checksum is that of the pseudo-header so far; the kernel finishes it when it must.

    Attributes:
        header: the `struct virtio_net_hdr` that says where the checksum is.
    """

    __slots__ = ()
    header: ClassVar[bytes]

    def summed(self) -> bytes:
        """Return the packet with its checksum."""
        _, _, _, _, start, offset = VIRTIO.unpack(self.header)
        return _summed(self, start, offset)


class _UnsummedTcp4(Unsummed):
    __slots__ = ()
    header = VIRTIO.pack(_NEEDS_CHECKSUM, 0, 0, 0, 34, _TCP_CHECKSUM_AT)


class _UnsummedUdp4(Unsummed):
    __slots__ = ()
    header = VIRTIO.pack(_NEEDS_CHECKSUM, 0, 0, 0, 34, _UDP_CHECKSUM_AT)


class _UnsummedTcp6(Unsummed):
    __slots__ = ()
    header = VIRTIO.pack(_NEEDS_CHECKSUM, 0, 0, 0, 54, _TCP_CHECKSUM_AT)


class _UnsummedUdp6(Unsummed):
    __slots__ = ()
    header = VIRTIO.pack(_NEEDS_CHECKSUM, 0, 0, 0, 54, _UDP_CHECKSUM_AT)


KINDS: Final[dict[bytes, type[bytes]]] = {
    COMPLETE: bytes,
    VIRTIO.pack(_CHECKSUM_VALID, 0, 0, 0, 0, 0): bytes,
    **{kind.header: kind for kind in (_UnsummedTcp4, _UnsummedUdp4, _UnsummedTcp6, _UnsummedUdp6)},
}
"""The type of single packets by their header. Those with other headers get their checksum at once."""


class NoSegmentsError(ValueError):
    """A frame that is no single packet and can't be cut into packets."""


class Offloaded(NamedTuple):
    """A frame of segmentation offload.

    Attributes:
        header: its `struct virtio_net_hdr`.
        data: the frame.
        network: where the IP header begins.
        transport: where the TCP or UDP header begins.
        payload: where the payload begins.
        segment: payload bytes of each packet but the last.
        packets: how many packets it is.
        is_ipv4, is_tcp: its protocols.
    """

    header: bytes
    data: bytes
    network: int
    transport: int
    payload: int
    segment: int
    packets: int
    is_ipv4: bool
    is_tcp: bool

    def head(self, first: int, count: int) -> bytes:
        """Return the headers of `count` packets from number `first` on, sent as one frame; the checksum unfinished."""
        head = bytearray(self.data[: self.payload])
        last = first + count == self.packets
        payload = (len(self.data) - self.payload if last else (first + count) * self.segment) - first * self.segment
        length = self.payload - self.transport + payload
        network, transport = self.network, self.transport
        if self.is_ipv4:
            number = int.from_bytes(head[network + 4 : network + 6], "big") + first & 0xFFFF
            struct.pack_into("!HH", head, network + 2, transport - network + length, number)
            head[network + 10 : network + 12] = b"\0\0"
            struct.pack_into("!H", head, network + 10, 0xFFFF - _sum(head[network:transport]))
        else:
            struct.pack_into("!H", head, network + 4, transport - network - _IPV6_HEADER + length)
        checksum = transport + (_TCP_CHECKSUM_AT if self.is_tcp else _UDP_CHECKSUM_AT)
        whole = len(self.data) - transport
        pseudo = int.from_bytes(head[checksum : checksum + 2], "big") + (0xFFFF - whole) + length
        struct.pack_into("!H", head, checksum, pseudo % 0xFFFF or 0xFFFF)
        if self.is_tcp:
            number = int.from_bytes(head[transport + 4 : transport + 8], "big") + first * self.segment
            struct.pack_into("!I", head, transport + 4, number & 0xFFFFFFFF)
            if not last:
                head[transport + 13] &= ~_FIN_PSH
            if first:
                head[transport + 13] &= ~_CWR
        else:
            struct.pack_into("!H", head, transport + 4, length)
        return bytes(head)


@final
class SegmentTrain:
    """Successive packets of an offloaded frame that go the same way at the same time, or one after the other.

    Attributes:
        source: the frame.
        first: the number of the first packet in it.
        count: how many packets.
        size: bytes of all of them on the wire, each with its own headers.
        span_ns: how long after the first the last of them was due, with even steps between.
    """

    __slots__ = ("count", "first", "size", "source", "span_ns")

    def __init__(self, source: Offloaded, first: int, count: int, span_ns: int = 0) -> None:
        self.source = source
        self.first = first
        self.count = count
        self.span_ns = span_ns
        self.size = count * (source.payload + source.segment)
        if first + count == source.packets:
            self.size -= source.packets * source.segment - (len(source.data) - source.payload)

    def __len__(self) -> int:
        return self.size

    def part(self, start: int, stop: int) -> SegmentTrain:
        """Return the packets from `start` to before `stop`, counted from this train's first."""
        return SegmentTrain(self.source, self.first + start, stop - start)

    def without(self, gone: Sequence[int]) -> list[SegmentTrain]:
        """Return what remains without some packets, which are counted from this train's first, ascending."""
        parts = []
        start = 0
        for stop in gone:
            if start < stop:
                parts.append(self.part(start, stop))
            start = stop + 1
        if start < self.count:
            parts.append(self.part(start, self.count))
        return parts

    def even(self) -> list[SegmentTrain]:
        """Return the train, cut so that all packets of each part have the same size."""
        source = self.source
        if self.count > 1 and self.size < self.count * (source.payload + source.segment):
            return [self.part(0, self.count - 1), self.part(self.count - 1, self.count)]
        return [self]

    def alone(self) -> SegmentTrain:
        """Return the train in a frame that has no other packets, so that the memory of these is free."""
        source = self.source
        head, payload = self.buffers()
        data = head[VIRTIO.size :] + payload
        segment = min(source.segment, len(payload))
        return SegmentTrain(
            source._replace(header=head[: VIRTIO.size], data=data, segment=segment, packets=self.count), 0, self.count
        )

    def buffers(self) -> tuple[bytes, bytes | memoryview]:
        """Return what to write to a packet socket with PACKET_VNET_HDR to send the train as one frame, in two parts."""
        source = self.source
        if self.count == source.packets:
            return source.header, source.data
        flags, kind, _, _, start, offset = VIRTIO.unpack(source.header)
        if self.count == 1:
            kind = segment = 0
        else:
            segment = source.segment
            if self.first:
                kind &= ~_ECN
        head = source.head(self.first, self.count)
        return VIRTIO.pack(flags, kind, len(head), segment, start, offset) + head, self._payload()

    def packet(self) -> bytes:
        """Return the single packet of a train of one, with its checksum."""
        source = self.source
        checksum_at = _TCP_CHECKSUM_AT if source.is_tcp else _UDP_CHECKSUM_AT
        return _summed(source.head(self.first, 1) + self._payload(), source.transport, checksum_at)

    def _payload(self) -> memoryview:
        source = self.source
        start = source.payload + self.first * source.segment
        return memoryview(source.data)[start : start + self.count * source.segment]


KEPT_LEAST: Final = 0.25
"""If less than this share of the packets that came together is kept, they get frames of their own
(`SegmentTrain.alone`)."""

Packet = bytes | SegmentTrain
"""A packet of the wire from its MAC header on, or several of one frame; `len` gives their bytes on the wire."""


def packet_of(header: bytes, frame: bytes, tag: tuple[int, int, int] = (0, 0, 0)) -> Packet:
    """Return a frame that a packet socket with PACKET_VNET_HDR has read.

    Args:
        header: the `struct virtio_net_hdr` before it.
        frame: without the VLAN tag that the kernel has removed.
        tag: what says which tag that was (`vlan.with_tag`).

    Raises:
        NoSegmentsError: it is several packets, but not of plain TCP or UDP.
    """
    flags, kind, _, _, start, offset = VIRTIO.unpack(header)
    if kind:
        return _several(header, vlan.with_tag(frame, *tag))
    if flags & _NEEDS_CHECKSUM:
        frame = _summed(frame, start, offset)
    return vlan.with_tag(frame, *tag)


def _several(header: bytes, frame: bytes) -> Packet:
    """Return the packets of a frame with its tag."""
    flags, kind, _, segment, start, offset = VIRTIO.unpack(header)
    network = headers.network_at(frame)
    is_tcp = offset == _TCP_CHECKSUM_AT
    protocol = "tcp" if kind & ~_ECN != _UDP else "udp"
    parsed = headers.parse(frame)
    transport = parsed.transport
    if (
        not flags & _NEEDS_CHECKSUM
        or frame[network - 2 : network] not in _ETHERTYPES.get(kind & ~_ECN, ())
        or transport - start not in (0, vlan.TAG_BYTES)
        or parsed.protocol != protocol
        or is_tcp != (protocol == "tcp")
        or parsed.end != len(frame)
        or not segment
    ):
        raise NoSegmentsError(f"a frame of type {kind} and protocol {parsed.protocol}")
    payload = transport + ((frame[transport + 12] >> 4) * 4 if is_tcp else _UDP_HEADER)
    count = -(-(len(frame) - payload) // segment)
    if count <= 1:
        return _summed(frame, transport, offset)
    is_ipv4 = frame[network - 2 : network] == _ETHERTYPES[_TCP4][0]
    header = VIRTIO.pack(_NEEDS_CHECKSUM, kind, payload, segment, transport, offset)
    return SegmentTrain(
        Offloaded(header, frame, network, transport, payload, segment, count, is_ipv4, is_tcp), 0, count
    )


def contents(packet: Packet) -> bytes:
    """Return the bytes of one packet, for those who read its headers."""
    return packet.packet() if type(packet) is SegmentTrain else packet


def sealed(packet: Packet) -> bytes:
    """Return the bytes of one packet as on the wire, its checksum filled in, for those who change it."""
    return packet.summed() if isinstance(packet, Unsummed) else contents(packet)


def number_of(packet: Packet) -> int:
    """Return how many packets these are."""
    return packet.count if type(packet) is SegmentTrain else 1


def joined(packets: Iterable[Packet]) -> list[Packet]:
    """Return packets that are sent at once, successive ones of one frame as one train."""
    out: list[Packet] = []
    last: Packet | None = None
    for packet in packets:
        if (
            type(packet) is SegmentTrain
            and type(last) is SegmentTrain
            and packet.source is last.source
            and packet.first == last.first + last.count
        ):
            packet = out[-1] = SegmentTrain(packet.source, last.first, last.count + packet.count)  # noqa: PLW2901
        else:
            out.append(packet)
        last = packet
    return out


def _sum(data: bytes | bytearray) -> int:
    """Return the ones' complement sum of the 16-bit words of data that are not all zero (RFC 1071).

    As 65,536 is 1 modulo 65,535, a number is congruent to the sum of its words. Python does this in one step.
    """
    return int.from_bytes(data if len(data) % 2 == 0 else data + b"\0", "big") % 0xFFFF or 0xFFFF


def _summed(frame: bytes, start: int, offset: int) -> bytes:
    """Return a packet with its checksum filled in, where that of the pseudo-header is (net/core/dev.c)."""
    checksum = 0xFFFF - _sum(frame[start:]) or 0xFFFF  # 0 would say that a datagram has none
    at = start + offset
    return b"".join((frame[:at], checksum.to_bytes(2, "big"), frame[at + 2 :]))
