"""The disciplines of a bottleneck's queue: which packets it drops or marks."""

from __future__ import annotations

from testbed.codec import Variant
from testbed.impairments.probability import CERTAIN, require_probability


class DropTail(Variant, frozen=True, tag="droptail"):
    """A full queue drops the packet that arrives."""

    def __str__(self) -> str:
        return self.kind


class DropHead(Variant, frozen=True, tag="drophead"):
    """A full queue drops the packet that has waited longest."""

    def __str__(self) -> str:
        return self.kind


class CoDel(Variant, frozen=True, kw_only=True, tag="codel"):
    """A queue that also drops packets that have waited too long (RFC 8289).

    Attributes:
        target_ns, interval_ns: CoDel tolerates a wait longer than `target_ns` for `interval_ns`; both more than 0.
        ecn: ECN-capable packets (RFC 3168) are marked instead of dropped.
    """

    target_ns: int = 5_000_000
    interval_ns: int = 100_000_000
    ecn: bool = False

    def __post_init__(self) -> None:
        if min(self.target_ns, self.interval_ns) < 1:
            raise ValueError("CoDel's target and interval are more than 0")

    def __str__(self) -> str:
        return f"{self.kind}{' with ECN' if self.ecn else ''}"


class FqCoDel(CoDel, frozen=True, kw_only=True, tag="fq_codel"):
    """A queue per flow, each with CoDel, which take turns (RFC 8290). Attributes as in `CoDel`."""


class Pie(Variant, frozen=True, kw_only=True, tag="pie"):
    """A queue that drops arriving packets with a probability that holds their wait at a target (RFC 8033).

    Attributes:
        target_ns: the wait that it aims at (QDELAY_REF); more than 0.
        update_ns: how often it computes the probability (T_UPDATE); more than 0.
        ecn: ECN-capable packets (RFC 3168) are marked instead of dropped while the probability is at most 10 %.
    """

    target_ns: int = 15_000_000
    update_ns: int = 15_000_000
    ecn: bool = False

    def __post_init__(self) -> None:
        if min(self.target_ns, self.update_ns) < 1:
            raise ValueError("PIE's target and the time between its updates are more than 0")

    def __str__(self) -> str:
        return f"{self.kind}{' with ECN' if self.ecn else ''}"


class DualPi2(Variant, frozen=True, kw_only=True, tag="dualpi2"):
    """Two queues, coupled by a factor of 2: one for L4S packets, one for all others (RFC 9332, appendix A).

    L4S packets are those with ECT(1) or CE (RFC 9331); they are marked, with twice the square root of the probability
    with which the others are dropped, or marked if they have ECT(0).

    Attributes:
        target_ns: the wait in the classic queue that it aims at; more than 0.
        update_ns: how often it computes the probability (Tupdate); more than 0.
        step_ns: an L4S packet that waited longer is marked in any case; more than 0.
    """

    target_ns: int = 15_000_000
    update_ns: int = 15_000_000
    step_ns: int = 1_000_000

    def __post_init__(self) -> None:
        if min(self.target_ns, self.update_ns, self.step_ns) < 1:
            raise ValueError("DualPI2's target, step, and the time between its updates are more than 0")

    def __str__(self) -> str:
        return self.kind


class Red(Variant, frozen=True, kw_only=True, tag="red"):
    """A queue that drops arriving packets more often the longer it is on average (Floyd and Jacobson, 1993).

    The average has a weight of 1/512 per packet.

    Attributes:
        min_bytes, max_bytes: up to the first average length nothing is dropped; from there the probability grows until
            it is `probability` at the second.
        probability: in 1/2^32, more than 0.
        gentle: above `max_bytes` the probability grows on, to certainty at twice that; otherwise it is certainty.
        ecn: ECN-capable packets (RFC 3168) are marked instead of dropped while the average is at most `max_bytes`.
    """

    min_bytes: int
    max_bytes: int
    probability: int = CERTAIN // 10
    gentle: bool = True
    ecn: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.min_bytes < self.max_bytes:
            raise ValueError(f"RED's thresholds, {self.min_bytes} and {self.max_bytes} bytes, do not ascend from 0")
        require_probability(self.probability, "probability", least=1)

    def __str__(self) -> str:
        return f"{self.kind}{' with ECN' if self.ecn else ''}"


class Cake(Variant, frozen=True, tag="cake"):
    """CAKE (Høiland-Jørgensen et al., 2018): a queue per flow, fair between hosts, each with a variant of CoDel."""

    def __str__(self) -> str:
        return self.kind


Discipline = DropTail | DropHead | CoDel | FqCoDel | Pie | DualPi2 | Red | Cake
"""The discipline of a queue: which packets it drops or marks."""

ACTIVE = (CoDel, Pie, DualPi2, Red, Cake)
"""The disciplines that drop packets before the queue is full: active queue management (RFC 7567)."""

DROP_TAIL = DropTail()
"""The default discipline."""
