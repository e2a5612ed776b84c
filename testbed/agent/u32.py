"""Rules of the u32 classifier at a port, as netlink messages (net/sched/cls_u32.c).

A rule has keys, each a masked word of the packet at an offset from the network header, and what to do with packets that
fit: actions, or the rules of another table, or both: the table's rules first, and the actions for what none of them
took. pyroute2 can't express the offsets.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from testbed.agent.netlink import attribute

if TYPE_CHECKING:
    from collections.abc import Sequence

# include/uapi/linux/rtnetlink.h and pkt_sched.h
NEW_FILTER, DELETE_FILTER, GET_FILTER = 44, 45, 46
INGRESS, EGRESS = 0xFFFF_FFF2, 0xFFFF_FFF3
KIND, OPTIONS = 1, 2
TCMSG = struct.Struct("=BxxxiIII")
"""struct tcmsg: family, device, handle, parent, info."""

# include/uapi/linux/pkt_cls.h and tc_act/tc_mirred.h
_HASH, _LINK, _DIVISOR, _SELECTOR = 2, 3, 4, 5
ACTIONS = 7
_TERMINAL, _OFFSET, _VARIABLE_OFFSET, _EAT = 1, 2, 4, 8
_ACTION_KIND, _ACTION_OPTIONS = 1, 2
_MIRRED_PARAMETERS, _REDIRECT, _MIRROR, _STOLEN, _PIPE = 2, 1, 2, 4, 3

_ETH_P_ALL = 0x0003


class RulePlace(NamedTuple):
    """A hook of a port, a priority there, rules of a lower one come first, and the EtherType of the packets.

    Each place has a root table of its own, whose handle the kernel chooses. So rules there are removed with their
    place. All places of a port share the numbers of other tables.
    """

    hook: int
    priority: int
    protocol: int = _ETH_P_ALL

    @property
    def info(self) -> int:
        """What a message says of the priority and the EtherType."""
        return self.priority << 16 | socket.htons(self.protocol)


BY_SOURCE, REST, ONWARD, ALL_SENT = (
    RulePlace(EGRESS, 1),
    RulePlace(EGRESS, 2),
    RulePlace(INGRESS, 3),
    RulePlace(INGRESS, 4),
)
"""Of what the switch sends to the node: rules by its source, and for the rest. Of what the node sends: rules for what
goes to the machine, and for everything."""

PLACES = (BY_SOURCE, REST, ONWARD, ALL_SENT)

MOST_NUMBER = 0xFFF
"""Of a rule within a bucket of a table; rules are tried in the order of their numbers."""


class Key(NamedTuple):
    """A masked word of the packet; `offset` is from the network header, or from where `Onward` leads, bytes."""

    mask: int
    value: int
    offset: int


class Onward(NamedTuple):
    """The table whose rules are tried next, and the header that their offsets count from.

    Attributes:
        table: its handle; 0 for none.
        mask, shift: of the first 16 bits of the header at hand: they give the length of that header, bytes.
        fixed: that length, where it is fixed. Without either, offsets count from the same place as before.
        hash_mask, hash_offset: the bits of the packet that choose the table's bucket; 0 in a table of one bucket.
    """

    table: int
    mask: int = 0
    shift: int = 0
    fixed: int = 0
    hash_mask: int = 0
    hash_offset: int = 0

    @property
    def flags(self) -> int:
        """The flags of the selector."""
        if self.mask:
            return _VARIABLE_OFFSET | _EAT
        return _OFFSET | _EAT if self.fixed else 0


STAY = Onward(0)
"""No table."""


def table(port: int, handle: int, buckets: int = 1, *, place: RulePlace = BY_SOURCE) -> bytes:
    """Return the message that makes a table."""
    return message(port, handle, attribute(_DIVISOR, struct.pack("=I", buckets)), place=place)


def rule(
    port: int,
    handle: int,
    keys: tuple[Key, ...] = (),
    *,
    actions: bytes | Sequence[bytes] | None = None,
    onward: Onward = STAY,
    place: RulePlace = BY_SOURCE,
) -> bytes:
    """Return the message that makes or replaces a rule; the kernel keeps the keys of one that is there.

    Args:
        port: index of the device.
        handle: table, bucket and number of the rule; of the root table the number only.
        keys: all of them must fit; without any, every packet does.
        actions: what happens to packets, one thing or several in order; empty: they pass. None: to what the rules of
            the table don't take, nothing.
        onward: the table that is tried first.
        place: at the port.
    """
    flags = onward.flags | (0 if actions is None else _TERMINAL)
    selector = struct.pack("=BBBx", flags, onward.shift, len(keys)) + struct.pack("!H", onward.mask)
    selector += struct.pack("=Hhh", onward.fixed, 0, onward.hash_offset) + struct.pack("!I", onward.hash_mask)
    selector += b"".join(struct.pack("!II", key.mask, key.value) + struct.pack("=ii", key.offset, 0) for key in keys)
    options = attribute(_LINK, struct.pack("=I", onward.table)) + attribute(_SELECTOR, selector)
    if handle >> 20:
        options += attribute(_HASH, struct.pack("=I", handle & ~MOST_NUMBER))
    if actions:
        each = [actions] if isinstance(actions, bytes) else actions
        options += attribute(ACTIONS, b"".join(attribute(number, action) for number, action in enumerate(each, 1)))
    return message(port, handle, options, place=place)


def message(port: int, handle: int, options: bytes = b"", *, place: RulePlace = BY_SOURCE) -> bytes:
    """Return the body of a message about a filter: `struct tcmsg` and attributes."""
    body = TCMSG.pack(socket.AF_UNSPEC, port, handle, place.hook, place.info)
    return body + attribute(KIND, b"u32\0") + (attribute(OPTIONS, options) if options else b"")


def redirect(device: int | None) -> bytes:
    """Return the action that sends a packet out of another device; none without one: it passes.

    Where the device has gone, the kernel drops the packet.
    """
    if device is None:
        return b""
    return _mirred(_STOLEN, _REDIRECT, device)


def mirror(device: int) -> bytes:
    """Return the action that sends a copy of a packet out of another device; further actions get the packet."""
    return _mirred(_PIPE, _MIRROR, device)


def _mirred(then: int, how: int, device: int) -> bytes:
    parameters = struct.pack("=IIiiiiI", 0, 0, then, 0, 0, how, device)
    options = attribute(_ACTION_OPTIONS, attribute(_MIRRED_PARAMETERS, parameters))
    return attribute(_ACTION_KIND, b"mirred\0") + options
