"""Captures: the call that starts one, and the lines that the capturing process exchanges with the agent."""

from __future__ import annotations

from testbed.agent.messages.calls import Call, Payload
from testbed.agent.messages.processes import Exit


class Capture(Call[Exit], frozen=True, kw_only=True):
    """Start a capture at a node's interface.

    Attributes:
        snap_bytes: what is kept of a packet.
        size_bytes: what the packets may take while they are captured; the newest are kept.
    """

    node: str
    network: str
    snap_bytes: int
    size_bytes: int


class CaptureSpec(Payload, frozen=True, kw_only=True):
    """What a capturing process is to do; see `Capture`."""

    interface: str
    snap_bytes: int
    size_bytes: int


class CaptureBegun(Payload, frozen=True, kw_only=True):
    """The capture has begun: from now on it counts the packets that it misses.

    Attributes:
        clock_offset_ns: how far the wall clock, which packets are stamped with, is ahead of CLOCK_MONOTONIC.
    """

    interface: str
    clock_offset_ns: int


class CaptureEnded(Payload, frozen=True, kw_only=True):
    """What was captured: packets kept, dropped by the kernel, and overwritten by newer ones."""

    packets: int
    dropped: int
    overwritten: int
    cpu_ns: int
    clock_offset_ns: int


class CaptureData(Payload, frozen=True, kw_only=True):
    """A piece of the pcap file."""

    base64: str
