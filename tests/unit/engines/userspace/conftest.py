"""Frames for the tests here, checksums right."""

import socket
import struct

import pytest

_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17}
_FLAGS = "fsrpau"


def internet_checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _transport(protocol, ports, flags, payload):
    if protocol == "tcp":
        bits = sum(1 << _FLAGS.index(letter) for letter in flags)
        return struct.pack("!HHIIBBHHH", *ports, 1, 2, 5 << 4, bits, 1000, 0, 0) + payload
    if protocol == "udp":
        return struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    return b"\x08\x00\x00\x00" + payload


class Frames:
    """Makes frames and checks their checksums."""

    @staticmethod
    def make(protocol="udp", *, ports=(1024, 80), flags="", payload=b"", ipv6=False, tos=0, fragment=0, padding=0):
        """A frame of `protocol` (`arp`, `icmp`, `tcp`, `udp`); `fragment` is the IPv4 field of flags and offset."""
        ethernet = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01"
        if protocol == "arp":
            return ethernet + b"\x08\x06" + bytes(28)
        segment = _transport(protocol, ports, flags, payload)
        family, number = (socket.AF_INET6, 58) if ipv6 else (socket.AF_INET, 1)
        number = number if protocol == "icmp" else _NUMBERS[protocol]
        hosts = ("fd00::1", "fd00::2") if ipv6 else ("198.18.0.1", "198.18.0.2")
        addresses = b"".join(socket.inet_pton(family, host) for host in hosts)
        at = {"tcp": 16, "udp": 6, "icmp": 2}[protocol]
        pseudo = addresses + struct.pack("!HH", number, len(segment))
        checksum = internet_checksum(segment if protocol == "icmp" else pseudo + segment).to_bytes(2, "big")
        segment = segment[:at] + checksum + segment[at + 2 :]
        if ipv6:
            header = struct.pack("!IHBB", 6 << 28 | tos << 20, len(segment), number, 64) + addresses
            return ethernet + b"\x86\xdd" + header + segment + bytes(padding)
        header = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(segment), 7, fragment, 64, number, 0) + addresses
        header = header[:10] + internet_checksum(header).to_bytes(2, "big") + header[12:]
        return ethernet + b"\x08\x00" + header + segment + bytes(padding)

    @staticmethod
    def is_sound(frame):
        """Whether the checksums of an unfragmented TCP or UDP frame fit."""
        if frame[12:14] == b"\x86\xdd":
            number, addresses, at = frame[20], frame[22:54], 54
            end = at + int.from_bytes(frame[18:20], "big")
        else:
            number, addresses, at = frame[23], frame[26:34], 34
            end = 14 + int.from_bytes(frame[16:18], "big")
            if internet_checksum(frame[14:34]):
                return False
        segment = frame[at:end]
        return not internet_checksum(addresses + struct.pack("!HH", number, len(segment)) + segment)


@pytest.fixture
def frames():
    return Frames
