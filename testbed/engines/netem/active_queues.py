"""pie, red and cake as values in the kernel's own units, as `testbed.engines.netem.queues` has the others.

A value read back equals the value sent, apart from red's table of idle times, which can't be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from struct import Struct
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroute2.netlink import nla

RED_W_LOG: Final = 9
"""The weight of a packet in red's average is 2^-9, as `testbed.impairments.Red` says."""

_TC_RED_ECN, _TC_RED_HARDDROP = 1, 2
_STAB_ENTRIES: Final = 256
_SHIFT_MOST: Final = 31
_TICK_NS: Final = 64


_PIE_STATISTICS = Struct("=Q8I")  # struct tc_pie_xstats
_RED_STATISTICS = Struct("=4I")  # struct tc_red_xstats


@dataclass(frozen=True, slots=True, kw_only=True)
class PieQdisc:
    """pie's configuration; it updates every 15 ms, rounded to the kernel's clock, with the gains of RFC 8033.

    Attributes:
        limit: number of waiting packets.
        target: in ticks of 64 ns. The netlink attribute is in microseconds, and conversion in either direction rounds
            down.
        ecn: mark packets instead of dropping them.
    """

    kind: ClassVar[str] = "pie"

    limit: int
    target: int
    ecn: bool

    def encode(self) -> dict[str, Any]:
        """Return the value of `TCA_OPTIONS`."""
        attributes = (
            ("TCA_PIE_LIMIT", self.limit),
            ("TCA_PIE_TARGET", -(-self.target * _TICK_NS // 1_000)),
            ("TCA_PIE_TUPDATE", 15_000),
            ("TCA_PIE_ALPHA", 2),
            ("TCA_PIE_BETA", 20),
            ("TCA_PIE_ECN", int(self.ecn)),
            ("TCA_PIE_BYTEMODE", 0),
        )
        return {"attrs": [*attributes]}

    @classmethod
    def decode(cls, options: nla) -> Self:
        """Create the value from the `TCA_OPTIONS` that the kernel sent."""
        return cls(
            limit=options.get_attr("TCA_PIE_LIMIT"),
            target=-(-options.get_attr("TCA_PIE_TARGET") * 1_000 // _TICK_NS),
            ecn=bool(options.get_attr("TCA_PIE_ECN")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedQdisc:
    """red's configuration, without `adaptive`.

    Attributes:
        limit, least, most: bytes of waiting frames: in all, and at the two thresholds.
        probability: at the upper threshold, in 1/2^32.
        ecn: mark packets instead of dropping them, up to the upper threshold.
        frame_us: transmission time of a full frame, microseconds; it can't be read back.
    """

    kind: ClassVar[str] = "red"

    limit: int
    least: int
    most: int
    probability: int
    ecn: bool
    frame_us: float

    def encode(self) -> dict[str, Any]:
        """Return the value of `TCA_OPTIONS`."""
        cell_log, table = _idle_shifts(self.frame_us)
        parameters = {
            "limit": self.limit,
            "qth_min": self.least,
            "qth_max": self.most,
            "w_log": RED_W_LOG,
            "p_log": 0,
            "scell_log": cell_log,
            "flags": (_TC_RED_ECN | _TC_RED_HARDDROP) if self.ecn else 0,
        }
        return {
            "attrs": [
                ("TCA_RED_PARMS", parameters),
                ("TCA_RED_STAB", table),
                ("TCA_RED_MAX_P", min(self.probability, (1 << 32) - 1)),
            ]
        }

    @classmethod
    def decode(cls, options: nla) -> Self:
        """Create the value from the `TCA_OPTIONS` that the kernel sent."""
        parameters = options.get_attr("TCA_RED_PARMS")
        return cls(
            limit=parameters["limit"],
            least=parameters["qth_min"],
            most=parameters["qth_max"],
            probability=options.get_attr("TCA_RED_MAX_P"),
            ecn=bool(parameters["flags"] & _TC_RED_ECN),
            frame_us=0.0,
        )


def statistics_of(kind: str, found: Mapping[str, int] | str | None) -> Mapping[str, int]:
    """Return a queueing discipline's own statistics by codel's names: `drop_overlimit`, `ecn_mark`.

    Args:
        kind: of the queueing discipline.
        found: `TCA_STATS_APP`; if pyroute2 does not know the discipline, its bytes in hexadecimal.
    """
    if kind == CakeQdisc.kind:  # it drops from the longest queue, whatever the reason
        return {"drop_overlimit": 0}
    if not isinstance(found, str):
        return found or {}
    data = bytes.fromhex(found.replace(":", ""))
    if kind == PieQdisc.kind and len(data) >= _PIE_STATISTICS.size:
        *_, overlimit, _, ecn_mark = _PIE_STATISTICS.unpack_from(data)
        return {"drop_overlimit": overlimit, "ecn_mark": ecn_mark}
    if kind == RedQdisc.kind and len(data) >= _RED_STATISTICS.size:
        _, overlimit, _, marked = _RED_STATISTICS.unpack_from(data)
        return {"drop_overlimit": overlimit, "ecn_mark": marked}
    return {}


def _idle_shifts(frame_us: float) -> tuple[int, bytes]:
    """Return the logarithm of red's cell of idle time and, for each cell, by how much the average is shifted right.

    The average falls to a half in as many idle frames as the weight says (include/net/red.h, `red_calc_qavg_from_idle_
    time`; tc/tc_red.c, `tc_red_eval_idle_damping`).
    """
    per_us = -log2(1 - 2**-RED_W_LOG) / max(frame_us, 1e-3)
    cell_log = next((bits for bits in range(32) if _SHIFT_MOST / per_us / 2**bits < 2 * _STAB_ENTRIES), 31)
    shifts = [min(round((cell << cell_log) * per_us), _SHIFT_MOST) for cell in range(_STAB_ENTRIES - 1)]
    return cell_log, bytes([*shifts, _SHIFT_MOST])


@dataclass(frozen=True, slots=True, kw_only=True)
class CakeQdisc:
    """cake behind the bottleneck's tbf, so without a rate of its own, and with its defaults.

    Attributes:
        memory: the most bytes of memory that waiting packets take, more than of frames.
    """

    kind: ClassVar[str] = "cake"

    memory: int

    def encode(self) -> dict[str, Any]:
        """Return the value of `TCA_OPTIONS`."""
        return {"attrs": [("TCA_CAKE_BASE_RATE64", 0), ("TCA_CAKE_MEMORY", self.memory)]}

    @classmethod
    def decode(cls, options: nla) -> Self:
        """Create the value from the `TCA_OPTIONS` that the kernel sent."""
        return cls(memory=options.get_attr("TCA_CAKE_MEMORY"))
