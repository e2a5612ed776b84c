"""VLAN tags of Ethernet frames (IEEE 802.1Q), which the kernel removes from the frames that packet sockets receive."""

from __future__ import annotations

import struct
from typing import Final

TAG_BYTES: Final = 4

TYPE_AT: Final = 12
"""The offset in a frame, after the two MAC addresses, of the type or the first tag."""

_TYPES: Final = (b"\x81\x00", b"\x88\xa8")  # customer tags, and service provider tags, which precede them
_ETH_P_8021Q: Final = 0x8100
_TAG: Final = struct.Struct("!HH")
_TP_STATUS_VLAN_VALID: Final = 1 << 4  # linux/if_packet.h
_TP_STATUS_VLAN_TPID_VALID: Final = 1 << 6


def tags_end(frame: bytes) -> int:
    """Return where the VLAN tags of a frame end and its type begins; `TYPE_AT` if it has no tags."""
    at = TYPE_AT
    while frame[at : at + 2] in _TYPES:
        at += TAG_BYTES
    return at


def is_tagged(status: int) -> bool:
    """Return whether the kernel has removed a tag from a frame, from its auxiliary data; see `with_tag`."""
    return bool(status & _TP_STATUS_VLAN_VALID)


def with_tag(frame: bytes, status: int, tci: int, tpid: int) -> bytes:
    """Return the frame as it was on the wire, from a packet socket's auxiliary data (packet(7), PACKET_AUXDATA).

    The kernel removes the outermost tag of an arriving frame (net/core/skbuff.c, `skb_vlan_untag`) and reports it
    separately, as it does with the tag of a frame that a VLAN device sends.

    Args:
        frame: as the socket delivered it.
        status: the field `tp_status`.
        tci: the field `tp_vlan_tci`.
        tpid: the field `tp_vlan_tpid`.
    """
    if not is_tagged(status):
        return frame
    tag = _TAG.pack(tpid if status & _TP_STATUS_VLAN_TPID_VALID else _ETH_P_8021Q, tci)
    return frame[:TYPE_AT] + tag + frame[TYPE_AT:]
