"""The record of a capture: the packets of one port in a file, and the number of those that are missing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRecord:
    """A capture of the packets that a node sent and received on a network.

    Attributes:
        node: its name.
        network: its name.
        interface: of the node, where they were seen.
        file: the pcap file; of a run's capture, as seen from the run's directory.
        packets: in the file.
        dropped: packets that the kernel could not hand over, because the capture did not get its turn in time.
        overwritten: packets that made room for newer ones.
        size_bytes: of the file.
        snap_bytes: the most that is kept of one packet.
        cpu_ns: processor time that capturing took.
        clock_offset_ns: how far the wall clock, of which the time stamps in the file are, was ahead of CLOCK_MONOTONIC,
            of which those of samples are: at the beginning, and at the end. They differ where the clock was set.
    """

    node: str
    network: str
    interface: str
    file: str
    packets: int
    dropped: int
    overwritten: int
    size_bytes: int
    snap_bytes: int
    cpu_ns: int
    clock_offset_ns: tuple[int, int]
