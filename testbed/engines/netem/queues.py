"""The queueing disciplines of a bottleneck as values in the kernel's own units: tbf, and the queue under it.

A value holds the whole configuration, which is always sent; the value read back equals the value sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from testbed.engines.netem import qdiscs
from testbed.engines.netem.qdisc_messages import TbfOptions

if TYPE_CHECKING:
    from pyroute2.netlink import nla

TICK_NS = 64
"""Nanoseconds in a tick of traffic control (include/net/pkt_sched.h, `PSCHED_SHIFT`)."""

CODEL_UNIT_NS = 1 << 10
"""Nanoseconds in CoDel's unit of time (include/net/codel.h, `CODEL_SHIFT`)."""

_U32_MAX = (1 << 32) - 1
_LINKLAYER_ETHERNET = 1  # the kernel computes transmission times itself and needs no table
_MEMORY_MOST = 1 << 31  # the most that fq_codel accepts


def bucket_ticks(size: int, rate: int) -> int:
    """Return the depth of a token bucket of a size in bytes and a rate in bytes/s, in ticks, rounded up."""
    return -(-size * 10**9 // (rate * TICK_NS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tbf:
    """tbf's whole configuration.

    Attributes:
        rate: bytes/s.
        limit: bytes of waiting frames; if the queue is a bfifo, this becomes its limit.
        buffer: depth of the bucket in ticks of transmission at `rate`; a frame that takes longer is dropped.
        overhead: bytes that each frame counts for besides its own.
        peak: bytes/s; 0 is no limit.
        mtu: depth of the bucket of the peak rate in ticks of transmission at it, as `buffer`.
    """

    kind: ClassVar[str] = "tbf"

    rate: int
    limit: int
    buffer: int
    overhead: int = 0
    peak: int = 0
    mtu: int = 0

    def encode(self) -> dict[str, Any]:
        """Return the value of `TCA_OPTIONS`."""
        parameters = dict.fromkeys((name for name, _ in TbfOptions.Parameters.fields), 0) | {
            "linklayer": _LINKLAYER_ETHERNET,
            "rate": min(self.rate, _U32_MAX),
            "limit": self.limit,
            "buffer": self.buffer,
            "overhead": self.overhead,
        }
        attributes: list[tuple[str, Any]] = [("TCA_TBF_PARMS", parameters), ("TCA_TBF_RATE64", self.rate)]
        if self.peak:
            parameters |= {
                "peak_linklayer": _LINKLAYER_ETHERNET,
                "peak_rate": min(self.peak, _U32_MAX),
                "peak_overhead": self.overhead,
                "mtu": self.mtu,
            }
            attributes.append(("TCA_TBF_PRATE64", self.peak))
        return {"attrs": attributes}

    @classmethod
    def decode(cls, options: nla) -> Self:
        """Create the value from the `TCA_OPTIONS` that the kernel sent."""
        parameters = options.get_attr("TCA_TBF_PARMS")
        return cls(
            rate=qdiscs.rate(parameters, options.get_attr("TCA_TBF_RATE64")),
            limit=parameters["limit"],
            buffer=parameters["buffer"],
            overhead=parameters["overhead"],
            peak=options.get_attr("TCA_TBF_PRATE64") or parameters["peak_rate"],
            mtu=parameters["mtu"] if parameters["peak_rate"] else 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bfifo:
    """A queue that drops arriving frames when it is full.

    Attributes:
        limit: bytes of waiting frames.
    """

    kind: ClassVar[str] = "bfifo"

    limit: int

    def encode(self) -> dict[str, Any]:
        """Return the value of `TCA_OPTIONS`."""
        return {"limit": self.limit}

    @classmethod
    def decode(cls, options: nla) -> Self:
        """Create the value from the `TCA_OPTIONS` that the kernel sent."""
        return cls(limit=options["limit"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Codel:
    """codel's whole configuration except its threshold for marking, which the testbed does not use.

    Attributes:
        limit: number of waiting packets.
        target, interval: in units of `CODEL_UNIT_NS`. The netlink attributes are in microseconds, and conversion in
            either direction rounds down.
        ecn: mark packets instead of dropping them.
    """

    kind: ClassVar[str] = "codel"

    limit: int
    target: int
    interval: int
    ecn: bool

    def encode(self) -> dict[str, Any]:
        """Return the value of `TCA_OPTIONS`."""
        return {"attrs": _codel_attributes("TCA_CODEL_", self)}

    @classmethod
    def decode(cls, options: nla) -> Self:
        """Create the value from the `TCA_OPTIONS` that the kernel sent."""
        return cls(**_codel_fields("TCA_CODEL_", options))


@dataclass(frozen=True, slots=True, kw_only=True)
class FqCodel:
    """fq_codel with its default of 1024 flows, which can't be changed later, and limited in packets but not in memory.

    Attributes:
        limit: number of waiting packets of all flows.
        target, interval, ecn: as in `Codel`.
        quantum: bytes that a flow may send per turn, at least 256.
    """

    kind: ClassVar[str] = "fq_codel"

    limit: int
    target: int
    interval: int
    ecn: bool
    quantum: int

    def encode(self) -> dict[str, Any]:
        """Return the value of `TCA_OPTIONS`."""
        return {
            "attrs": [
                *_codel_attributes("TCA_FQ_CODEL_", self),
                ("TCA_FQ_CODEL_QUANTUM", self.quantum),
                ("TCA_FQ_CODEL_MEMORY_LIMIT", _MEMORY_MOST),
            ]
        }

    @classmethod
    def decode(cls, options: nla) -> Self:
        """Create the value from the `TCA_OPTIONS` that the kernel sent."""
        return cls(**_codel_fields("TCA_FQ_CODEL_", options), quantum=options.get_attr("TCA_FQ_CODEL_QUANTUM"))


def _codel_attributes(prefix: str, codel: Codel | FqCodel) -> list[tuple[str, int]]:
    return [
        (f"{prefix}LIMIT", codel.limit),
        (f"{prefix}TARGET", -(-codel.target * CODEL_UNIT_NS // 1_000)),
        (f"{prefix}INTERVAL", -(-codel.interval * CODEL_UNIT_NS // 1_000)),
        (f"{prefix}ECN", int(codel.ecn)),
    ]


def _codel_fields(prefix: str, options: nla) -> dict[str, Any]:
    return {
        "limit": options.get_attr(f"{prefix}LIMIT"),
        "target": -(-options.get_attr(f"{prefix}TARGET") * 1_000 // CODEL_UNIT_NS),
        "interval": -(-options.get_attr(f"{prefix}INTERVAL") * 1_000 // CODEL_UNIT_NS),
        "ecn": bool(options.get_attr(f"{prefix}ECN")),
    }
