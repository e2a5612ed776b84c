"""The process that captures at a port: `python -m testbed.agent.capture SPEC`, in the node's network namespace.

SPEC is `messages.CaptureSpec`. It writes events, in lines of `protocol`: `CaptureBegun`; when its standard input ends,
`CaptureEnded` and the pcap file as `CaptureData`. Or an error.
"""

from __future__ import annotations

import base64
import json
import os
import select
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from testbed import codec
from testbed.agent import protocol
from testbed.agent.capture import pcap
from testbed.agent.capture.spool import PacketSpool
from testbed.agent.capture.tap import Tap, records
from testbed.agent.messages import CaptureBegun, CaptureData, CaptureEnded, CaptureSpec
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NICENESS = 10
"""The traffic under test gets the CPU first; packets wait in the kernel's ring."""

_PIECE_BYTES = 3 << 14
_CLOCK_READINGS = 5


def capture(interface: str, *, snap_bytes: int, size_bytes: int) -> None:
    """Capture until standard input ends, then write what was kept.

    Raises:
        OSError: the interface can't be captured at, or there is no room for its packets.
    """
    with tempfile.TemporaryFile() as file, Tap(interface, snap_bytes) as tap:
        spool = PacketSpool(file.fileno(), size_bytes)
        cpu_ns = time.process_time_ns()
        _write(CaptureBegun(interface=interface, clock_offset_ns=clock_offset_ns()))
        poll = select.poll()
        poll.register(sys.stdin, select.POLLIN)
        poll.register(tap, select.POLLIN)
        while sys.stdin.fileno() not in dict(poll.poll()):
            for block, packets in tap.blocks():
                spool.put(block, packets)
        for block, packets in tap.last_blocks():
            spool.put(block, packets)
        _write(
            CaptureEnded(
                packets=spool.packets,
                dropped=tap.dropped,
                overwritten=spool.overwritten,
                cpu_ns=time.process_time_ns() - cpu_ns,
                clock_offset_ns=clock_offset_ns(),
            )
        )
        for piece in _pieces(spool, snap_bytes):
            _write(CaptureData(base64=base64.b64encode(piece).decode()))


def clock_offset_ns() -> int:
    """Return how far the wall clock, of packets, is ahead of CLOCK_MONOTONIC, of samples."""
    return min(_clock_reading() for _ in range(_CLOCK_READINGS))[1]


def _clock_reading() -> tuple[int, int]:
    """Return how long it took to read both clocks, and their difference, ns."""
    before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
    return after - before, wall - (before + after) // 2


def _pieces(spool: PacketSpool, snap_bytes: int) -> Iterator[bytes]:
    """Yield the pcap file of the kept packets in pieces."""
    piece = bytearray(pcap.file_header(snap_bytes))
    for block in spool:
        for record in records(block):
            piece += record
            if len(piece) >= _PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
    yield bytes(piece)


def _write(event: object) -> None:
    _send(protocol.Message(event=codec.encode(event)))


def _send(message: protocol.Message) -> None:
    sys.stdout.buffer.write(protocol.encode(message))
    sys.stdout.buffer.flush()


def main() -> int:
    """Parse the command line and run."""
    spec = codec.decode(json.loads(sys.argv[1]), CaptureSpec)
    os.nice(_NICENESS)
    try:
        capture(spec.interface, snap_bytes=spec.snap_bytes, size_bytes=spec.size_bytes)
    except OSError as error:
        failed = LabError("capture-failed", f"capturing at {spec.interface}: {error}")
        _send(protocol.error_message(failed))
        return failed.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
