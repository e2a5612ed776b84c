"""The counts and delays of the probes of one link."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSample:
    """The counts and delays of the probes of one link.

    Attributes:
        sent: the number of probes.
        arrived: the number of probes that arrived.
        delays_ns: the delays of the probes of the spaced schedule that arrived, in order of sending, without those that
            met another probe at a bottleneck.
        runs: the number of loss periods: one or more probes in a row that did not arrive.
        duplicates: arrivals of a probe that had arrived before.
        reordered: arrivals behind a probe that was sent later (RFC 4737).
        overtaking: arrivals before a probe that was sent earlier.
        sent_ns: when they were sent, ascending.
        unexpected: the number of other datagrams that arrived: corrupted probes, or those of another sender.
        scripted: the largest number of probes that scripted drops may have hit.
        uncertain_ns: how far all delays may be off, because sender and receiver have different clocks.
        crowded: whether many met another at a bottleneck, because their sender had fallen behind.
    """

    sent: int
    arrived: int
    delays_ns: Sequence[int]
    runs: int
    duplicates: int = 0
    reordered: int = 0
    overtaking: int = 0
    sent_ns: Sequence[int] = ()
    unexpected: int = 0
    scripted: int = 0
    uncertain_ns: int = 0
    crowded: bool = False

    def with_counts_of(self, other: ProbeSample) -> ProbeSample:
        """Return a sample with these delays and with the counts of both samples added up."""
        counts = ("sent", "arrived", "runs", "duplicates", "reordered", "overtaking", "unexpected")
        sums = {name: getattr(self, name) + getattr(other, name) for name in counts}
        return replace(
            self, sent_ns=sorted([*self.sent_ns, *other.sent_ns]), crowded=self.crowded or other.crowded, **sums
        )

    def followed_by(self, other: ProbeSample) -> ProbeSample:
        """Return one sample of both: the other's probes were sent after these."""
        return replace(self.with_counts_of(other), delays_ns=[*self.delays_ns, *other.delays_ns])
