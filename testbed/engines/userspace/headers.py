"""Parse the headers of frames that links need: Ethernet, VLAN tags, ARP, IPv4, IPv6, ICMP, TCP and UDP.

A frame with truncated or other headers has the protocol `other`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from testbed.linux.vlan import TYPE_AT, tags_end

ETHERNET: Final = 14
"""Bytes of the Ethernet header at the start of a frame, without VLAN tags."""

_ARP: Final = b"\x08\x06"
_IPV4: Final = b"\x08\x00"
_IPV6: Final = b"\x86\xdd"
_PROTOCOLS: Final = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}
_FRAGMENT: Final = 44
_EXTENSIONS: Final = (0, 43, 60)  # hop-by-hop options, routing, destination options: RFC 8200, 4.1
_IPV4_LEAST: Final = 20
_IPV6_LEAST: Final = 40
_TRANSPORT_LEAST: Final = {"tcp": 20, "udp": 8}
_CHECKSUM_AT: Final = {"tcp": 16, "udp": 6}
_ECN_MASK: Final = 0b11
_CE: Final = 0b11
_IPV6_ECN_SHIFT: Final = 4


@dataclass(frozen=True, slots=True)
class Headers:
    """The protocol of a frame and the positions of its headers.

    Attributes:
        protocol: `arp`, `icmp` (also of IPv6), `tcp`, `udp` or `other`.
        network: where the IP packet begins; 0 if there is none.
        end: where the IP packet ends, which may be before the frame does (padding); 0 if there is none.
        transport: where the TCP or UDP header begins; 0 if there is none, as in all but the first fragment.
        payload: where the TCP or UDP payload begins, up to `end`; 0 if there is none.
        flow: identifies the packet's flow: VLAN tags, addresses, protocol, and ports unless fragmented.
    """

    protocol: str = "other"
    network: int = 0
    end: int = 0
    transport: int = 0
    payload: int = 0
    flow: bytes = b""


def network_at(frame: bytes) -> int:
    """Return where the Ethernet header of a frame ends, including its VLAN tags."""
    return tags_end(frame) + 2


def parse(frame: bytes) -> Headers:
    """Parse the headers of a frame that begins with its Ethernet header."""
    at = network_at(frame)
    kind = frame[at - 2 : at]
    if kind == _IPV4:
        return _ipv4(frame, at)
    if kind == _IPV6:
        return _ipv6(frame, at)
    return Headers("arp" if kind == _ARP else "other", flow=frame[:at])


def _ipv4(frame: bytes, at: int) -> Headers:
    end = at + int.from_bytes(frame[at + 2 : at + 4], "big")
    inner = at + (frame[at] & 0xF) * 4 if len(frame) >= at + _IPV4_LEAST else 0
    if not at + _IPV4_LEAST <= inner <= end <= len(frame):
        return Headers(flow=frame[:at])
    fragment = int.from_bytes(frame[at + 6 : at + 8], "big")
    packet = _Packet(frame, at, end, frame[TYPE_AT : at - 2] + frame[at + 12 : at + 20])
    return packet.inner(inner, frame[at + 9], later=bool(fragment & 0x1FFF), split=bool(fragment & 0x3FFF))


def _ipv6(frame: bytes, at: int) -> Headers:
    inner = at + _IPV6_LEAST
    end = inner + int.from_bytes(frame[at + 4 : at + 6], "big")
    if not inner <= end <= len(frame):
        return Headers(flow=frame[:at])
    number = frame[at + 6]
    later = split = False
    while (number in _EXTENSIONS or number == _FRAGMENT) and inner + 8 <= end:
        if number == _FRAGMENT:
            split = True
            later |= bool(int.from_bytes(frame[inner + 2 : inner + 4], "big") & 0xFFF8)
        length = 8 if number == _FRAGMENT else 8 + frame[inner + 1] * 8
        number, inner = frame[inner], inner + length
        if later:
            break
    packet = _Packet(frame, at, end, frame[TYPE_AT : at - 2] + frame[at + 8 : at + 40])
    return packet.inner(inner, number, later=later, split=split)


class _Packet(NamedTuple):
    """An IP packet in a frame, from `network` to `end`, and the tags and addresses that identify its flow."""

    frame: bytes
    network: int
    end: int
    common: bytes

    def inner(self, at: int, number: int, *, later: bool, split: bool) -> Headers:
        """Parse the header of the inner protocol and return all headers of the packet.

        Args:
            at: where the inner header begins in the frame.
            number: the protocol number, as IANA assigns it.
            later: the packet is a fragment, and not the first.
            split: the packet is a fragment.
        """
        frame, network, end, common = self
        protocol = _PROTOCOLS.get(number, "other")
        flow = common + bytes((number,))
        least = _TRANSPORT_LEAST.get(protocol)
        if least is None:
            return Headers(protocol, network, end, flow=flow)
        if later:
            return Headers(protocol, network, end, payload=at if at < end else 0, flow=flow)
        if at + least > end:
            return Headers(network=network, end=end, flow=flow)
        payload = at + (least if protocol == "udp" else max(least, (frame[at + 12] >> 4) * 4))
        if not split:
            flow += frame[at : at + 4]
        return Headers(protocol, network, end, at, payload if payload < end else 0, flow)


def ports(frame: bytes, headers: Headers) -> tuple[int, int]:
    """Return source and destination port; zeros if the frame has none."""
    at = headers.transport
    return (int.from_bytes(frame[at : at + 2], "big"), int.from_bytes(frame[at + 2 : at + 4], "big")) if at else (0, 0)


def tcp_flags(frame: bytes, headers: Headers) -> int:
    """Return the TCP flags, FIN as the lowest bit (RFC 9293, 3.1); 0 if the frame has none."""
    return frame[headers.transport + 13] if headers.transport and headers.protocol == "tcp" else 0


def updated_checksum(checksum: int, old: int, new: int) -> int:
    """Return the Internet checksum after one 16-bit word changed from `old` to `new` (RFC 1624, equation 3)."""
    total = (~checksum & 0xFFFF) + (~old & 0xFFFF) + new
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def inverted(frame: bytes, byte: int, bit: int) -> bytes:
    """Return the frame with one bit inverted and the checksums left as they are."""
    changed = bytearray(frame)
    changed[byte] ^= 1 << bit
    return bytes(changed)


def inverted_unseen(frame: bytes, headers: Headers, byte: int, bit: int) -> bytes:
    """Return the frame with one bit of its TCP or UDP payload inverted and the checksum updated."""
    changed = bytearray(frame)
    changed[byte] ^= 1 << bit
    at = headers.transport + _CHECKSUM_AT[headers.protocol]
    checksum = int.from_bytes(frame[at : at + 2], "big")
    if checksum or headers.protocol == "tcp":  # a UDP datagram may have none
        shift = 0 if (byte - headers.transport) & 1 else 8
        checksum = updated_checksum(checksum, frame[byte] << shift, changed[byte] << shift)
        if not checksum and headers.protocol == "udp":
            checksum = 0xFFFF  # RFC 768
        changed[at : at + 2] = checksum.to_bytes(2, "big")
    return bytes(changed)


def is_l4s(frame: bytes) -> bool:
    """Return whether the frame has ECT(1) or Congestion Experienced, which identify L4S (RFC 9331, 4.1 and 5.1)."""
    headers = parse(frame)
    return bool(headers.end and _ecn(frame, headers) & 1)


def _is_ipv4(frame: bytes, headers: Headers) -> bool:
    return frame[headers.network - 2 : headers.network] == _IPV4


def _ecn(frame: bytes, headers: Headers) -> int:
    """Return the ECN field of an IP packet (RFC 3168, 5)."""
    return frame[headers.network + 1] >> (0 if _is_ipv4(frame, headers) else _IPV6_ECN_SHIFT) & _ECN_MASK


def congestion_marked(frame: bytes) -> bytes | None:
    """Return the frame with Congestion Experienced set, or None if it is not ECN-capable (RFC 3168, 5)."""
    headers = parse(frame)
    if not headers.end:
        return None
    ecn = _ecn(frame, headers)
    if ecn in (0, _CE):
        return frame if ecn else None
    at = headers.network + 1
    ipv4 = _is_ipv4(frame, headers)
    changed = bytearray(frame)
    changed[at] |= _CE << (0 if ipv4 else _IPV6_ECN_SHIFT)
    if ipv4:
        sum_at = headers.network + 10
        checksum = int.from_bytes(frame[sum_at : sum_at + 2], "big")
        changed[sum_at : sum_at + 2] = updated_checksum(checksum, frame[at], changed[at]).to_bytes(2, "big")
    return bytes(changed)
