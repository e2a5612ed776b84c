"""VLAN tags of Ethernet frames (IEEE 802.1Q), which the kernel takes out of frames that it hands to a packet socket."""

from __future__ import annotations

import struct
from typing import Final

TAG_BYTES: Final = 4

TYPE_AT: Final = 12
"""Where, in a frame, the type or the first tag follows the two MAC addresses."""

_TYPES: Final = (b"\x81\x00", b"\x88\xa8")  # tags of customers, and of service providers, which are outside of those
_ETH_P_8021Q: Final = 0x8100
_TAG: Final = struct.Struct("!HH")
_TP_STATUS_VLAN_VALID: Final = 1 << 4  # linux/if_packet.h
_TP_STATUS_VLAN_TPID_VALID: Final = 1 << 6


def tags_end(frame: bytes) -> int:
    """Where the VLAN tags of a frame end and its type is; `TYPE_AT` where it has no tags."""
    at = TYPE_AT
    while frame[at : at + 2] in _TYPES:
        at += TAG_BYTES
    return at


def with_tag(frame: bytes, status: int, tci: int, tpid: int) -> bytes:
    """The frame as it was on the wire, from what a packet socket says of it (packet(7), PACKET_AUXDATA).

    The kernel removes the outermost tag of a frame that arrives (net/core/skbuff.c, `skb_vlan_untag`) and says it apart
    from the frame, as it does with the tag of a VLAN device's frame that is sent.

    Args:
        frame: what the socket delivered.
        status: the field `tp_status`.
        tci: the field `tp_vlan_tci`.
        tpid: the field `tp_vlan_tpid`.
    """
    if not status & _TP_STATUS_VLAN_VALID:
        return frame
    tag = _TAG.pack(tpid if status & _TP_STATUS_VLAN_TPID_VALID else _ETH_P_8021Q, tci)
    return frame[:TYPE_AT] + tag + frame[TYPE_AT:]
