"""The size of a queue in a topology file: in bytes, packets, time or bandwidth-delay products."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

from testbed import units
from testbed.topology.problems import quote
from testbed.topology.values import Reader, fault, text_of, written_like

LEAST_FRAMES = 10
"""The least size, in full frames, of a queue given in bandwidth-delay products: TCP's initial window (RFC 6928)."""

_BIT_NS = 8 * 10**9
_BDP = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?bdp")
_PACKETS = re.compile(r"([0-9]{1,9}) ?packets?")


@dataclass(frozen=True, slots=True)
class QueueSize:
    """The size of a queue in the unit in which the file gives it; exactly one attribute is not None.

    Attributes:
        size_bytes: bytes of frames.
        packets: number of full frames.
        time_ns: time in which the bottleneck sends a full queue.
        bdp: multiple of the bandwidth-delay product.
    """

    size_bytes: int | None = None
    packets: int | None = None
    time_ns: int | None = None
    bdp: Fraction | int | None = None

    def bytes(self, *, frame: int, rate_bps: int, round_trip_ns: int) -> int:
        """Return the size in bytes of frames.

        Args:
            frame: bytes of a full frame.
            rate_bps: of the bottleneck.
            round_trip_ns: for a size in bandwidth-delay products, which is at least `LEAST_FRAMES`.
        """
        if self.size_bytes is not None:
            return self.size_bytes
        if self.packets is not None:
            return self.packets * frame
        if self.time_ns is not None:
            return rate_bps * self.time_ns // _BIT_NS
        return max(int((self.bdp or 0) * rate_bps * round_trip_ns // _BIT_NS), LEAST_FRAMES * frame)


def _queue_size(value: object) -> QueueSize:
    text = text_of(value, "a queue")
    if match := _BDP.fullmatch(text):
        size = QueueSize(bdp=Fraction(match[1]))
    elif match := _PACKETS.fullmatch(text):
        size = QueueSize(packets=int(match[1]))
    elif re.fullmatch(units.DURATION.pattern, text):
        size = QueueSize(time_ns=units.DURATION.parse(text))
    elif re.fullmatch(units.SIZE.pattern, text):
        size = QueueSize(size_bytes=units.SIZE.parse(text))
    else:
        hint = "write it in bytes (64KB), packets (100 packets), time (100ms) or bandwidth-delay products (1bdp)"
        raise fault(f"is {quote(text)}, which is not a queue", hint)
    if not (size.bdp or size.packets or size.time_ns or size.size_bytes):
        raise fault(
            f"is {quote(text)}, must be more",
            "what drops all that exceeds a rate is a policer: {rate: 10mbit, burst: 64KB}",
        )
    return size


QueueSizeValue = Annotated[QueueSize, Reader(_queue_size, written_like("64KB", "100 packets", "100ms", "1bdp"))]
