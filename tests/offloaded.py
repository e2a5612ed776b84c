"""Frames of segmentation offload for tests, built with the standard library only."""

import socket
import struct

from testbed.engines.userspace.segments import VIRTIO, Packet, packet_of

ETHERNET = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01"
FLAGS = "fsrpauew"
HOSTS = {False: ("198.18.0.1", "198.18.0.2"), True: ("2001:2::1", "2001:2::2")}


def folded(total: int) -> int:
    """The ones' complement sum."""
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def words(data: bytes) -> int:
    """The sum of the 16-bit words."""
    return sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))


def offloaded(
    protocol: str,
    payload: bytes,
    segment: int,
    *,
    flags: str = "a",
    ipv6: bool = False,
    tos: int = 0,
    options: bytes = b"",
    extension: bytes = b"",
    identification: int = 65534,
    sequence: int = 2**32 - 100,
    tag: bytes = b"",
) -> tuple[bytes, bytes]:
    """A `struct virtio_net_hdr` and a frame as a sender with segmentation offload hands it over.

    Args:
        protocol: `tcp` or `udp`.
        payload: of all packets.
        segment: bytes of payload of each packet.
        flags: of TCP: letters of `FLAGS`.
        ipv6: IPv6 instead of IPv4.
        tos: the byte of DSCP and ECN.
        options: of TCP, a multiple of four bytes.
        extension: a destination options header of IPv6, whose next header is filled in here.
        identification: of IPv4.
        sequence: number of TCP.
        tag: VLAN tag.
    """
    number = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}[protocol]
    if protocol == "tcp":
        bits = sum(1 << FLAGS.index(letter) for letter in flags)
        header = (
            struct.pack("!HHIIBBHHH", 1024, 80, sequence, 2, (5 + len(options) // 4) << 4, bits, 1000, 0, 0) + options
        )
    else:
        header = struct.pack("!HHHH", 1024, 80, 8 + len(payload), 0)
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    addresses = b"".join(socket.inet_pton(family, host) for host in HOSTS[ipv6])
    length = len(header) + len(payload)
    at = {"tcp": 16, "udp": 6}[protocol]
    pseudo = folded(words(addresses) + number + length)
    header = header[:at] + pseudo.to_bytes(2, "big") + header[at + 2 :]
    if ipv6:
        following = 60 if extension else number
        extension = bytes([number]) + extension[1:] if extension else b""
        network = (
            struct.pack("!IHBB", 6 << 28 | tos << 20, len(extension) + length, following, 64) + addresses + extension
        )
    else:
        network = struct.pack("!BBHHHBBH", 0x45, tos, 20 + length, identification, 0x4000, 64, number, 0) + addresses
        network = network[:10] + (~folded(words(network)) & 0xFFFF).to_bytes(2, "big") + network[12:]
    ethernet = ETHERNET + tag + (b"\x86\xdd" if ipv6 else b"\x08\x00")
    start = len(ethernet) + len(network)
    kind = 5 if protocol == "udp" else (4 if ipv6 else 1) | (0x80 if "w" in flags else 0)
    virtio = VIRTIO.pack(1, kind, start + len(header), segment, start, at)
    return virtio, ethernet + network + header + payload


def stream(payload: int, segment: int, flags: str = "a", *, ipv6: bool = False, tos: int = 0) -> Packet:
    """A piece of a TCP stream; a single packet if the payload fits into one."""
    data = (bytes(range(256)) * (payload // 256 + 1))[:payload]
    return packet_of(*offloaded("tcp", data, segment, flags=flags, ipv6=ipv6, tos=tos))


def datagrams(payload: int, segment: int, *, ipv6: bool = False) -> Packet:
    """Datagrams of UDP."""
    data = (bytes(range(256)) * (payload // 256 + 1))[:payload]
    return packet_of(*offloaded("udp", data, segment, ipv6=ipv6))
