"""What became of the probes of one link."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What became of the probes of one link.

    Attributes:
        sent: the number of probes.
        arrived: the number of those that arrived.
        delays_ns: of those of them that were sent far enough apart, in the order of sending.
        runs: how many times one or more in a row did not arrive.
        duplicates: arrivals of a probe that had arrived before.
        reordered: arrivals behind a probe that was sent later (RFC 4737).
        overtaking: arrivals before a probe that was sent earlier.
        sent_ns: when they were sent, ascending.
        strangers: arrivals that are none of the probes as they were sent.
        scripted: how many may have been dropped by script at most.
    """

    sent: int
    arrived: int
    delays_ns: Sequence[int]
    runs: int
    duplicates: int = 0
    reordered: int = 0
    overtaking: int = 0
    sent_ns: Sequence[int] = ()
    strangers: int = 0
    scripted: int = 0

    def with_losses_of(self, other: Sample) -> Sample:
        """The same delays, but losses and everything else that is counted from both."""
        counts = ("sent", "arrived", "runs", "duplicates", "reordered", "overtaking", "strangers")
        sums = {name: getattr(self, name) + getattr(other, name) for name in counts}
        return replace(self, sent_ns=sorted([*self.sent_ns, *other.sent_ns]), **sums)
