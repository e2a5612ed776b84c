"""What a link does to the packets that cross it, in integers: the vocabulary that plan and engines share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from testbed import units

CERTAIN = units.CERTAIN
"""The probability 1 in the unit of every probability here, 1/2^32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One direction of a link. A packet meets the stages in this order, in both engines:

    1. loss: it is dropped with a probability, independently of all others;
    2. delay: it is held for `delay_ns`, give or take up to `jitter_ns` (uniform); packets keep their order;
    3. bottleneck: it waits in a droptail queue of `queue_bytes` for a transmitter of `rate_bps`.

    Attributes:
        delay_ns: propagation delay, nanoseconds.
        jitter_ns: the most by which the delay of a packet differs from `delay_ns`, nanoseconds; at most `delay_ns`.
        loss: probability that a packet is lost, in 1/2^32, from 0 to `CERTAIN`.
        rate_bps: rate of the bottleneck, bit/s of Ethernet frames without preamble and checksum; 0 is unlimited.
        queue_bytes: bytes of waiting frames that the bottleneck's queue holds; 0 only where `rate_bps` is 0.
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    loss: int = 0
    rate_bps: int = 0
    queue_bytes: int = 0

    def __post_init__(self) -> None:
        if min(self.delay_ns, self.jitter_ns, self.loss, self.rate_bps, self.queue_bytes) < 0:
            raise ValueError(f"a shape has no negative part: {self}")
        if self.jitter_ns > self.delay_ns:
            raise ValueError(f"jitter {self.jitter_ns} ns is more than the delay, {self.delay_ns} ns")
        if self.loss > CERTAIN:
            raise ValueError(f"loss {self.loss} is more than {CERTAIN}, which is always")
        if bool(self.rate_bps) != bool(self.queue_bytes):
            raise ValueError(f"a rate and a queue go together: {self.rate_bps} bit/s, {self.queue_bytes} bytes")

    @property
    def is_clear(self) -> bool:
        """Whether packets cross untouched, so that nothing needs to be done to the link."""
        return self == CLEAR

    def describe(self) -> str:
        """The shape in words: `delay 40 ms, loss 2 %`."""
        parts = [
            f"{name} {unit.format(value)}"
            for name, unit, value in (
                ("delay", units.DURATION, self.delay_ns),
                ("jitter", units.DURATION, self.jitter_ns),
                ("loss", units.PROBABILITY, self.loss),
                ("rate", units.RATE, self.rate_bps),
                ("queue", units.SIZE, self.queue_bytes),
            )
            if value
        ]
        return ", ".join(parts) or "clear"

    def to_json(self) -> dict[str, int]:
        """The shape as a JSON object: field name to integer."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The shape that `to_json` made `data` from."""
        return cls(**data)


CLEAR = Shape()
