"""The pcap file format with time stamps in nanoseconds: draft-ietf-opsawg-pcap, as tcpdump and Wireshark read it."""

from __future__ import annotations

import struct

_MAGIC_NANOSECONDS = 0xA1B2_3C4D
_LINKTYPE_ETHERNET = 1
_RECORD = struct.Struct("<IIII")


def file_header(snap_bytes: int) -> bytes:
    """Return the header of a file.

    Args:
        snap_bytes: the most bytes of one packet.
    """
    return struct.pack("<IHHiIII", _MAGIC_NANOSECONDS, 2, 4, 0, 0, snap_bytes, _LINKTYPE_ETHERNET)


def record(seconds: int, nanoseconds: int, data: bytes, length: int) -> bytes:
    """Return the record of a packet.

    Args:
        seconds: from 1970-01-01 UTC to when it was captured.
        nanoseconds: since that second.
        data: the Ethernet frame, or its beginning.
        length: bytes of the whole frame.
    """
    return _RECORD.pack(seconds, nanoseconds, len(data), length) + data
