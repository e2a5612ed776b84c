"""Whether two links did the same to packets: two-sample tests on what became of them.

They hold for packets whose fates are independent, or depend on no more than when the last burst began or ended: then
delays are independent of each other, and so are the lengths of the runs of packets that are lost and that are not.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from testbed.statistics import binomial_test, distance_beyond, distance_test


@dataclass(frozen=True)
class Fates:
    """What became of packets: in order, whether each was lost; delays of all that came, ns; how many came again."""

    lost: list[bool]
    delays: list[int]
    copies: int

    @classmethod
    def of(cls, sent, arrivals):
        """Of so many sent, given which came (`.number`) and how long each was under way (`.delay`)."""
        came = {arrival.number for arrival in arrivals}
        delays = sorted(arrival.delay for arrival in arrivals)
        return cls([number not in came for number in range(sent)], delays, len(arrivals) - len(came))

    def runs(self, lost):
        """The lengths of the runs of packets lost, or not lost, but for the last, which may not be at its end."""
        runs = [(gone, len(list(run))) for gone, run in itertools.groupby(self.lost)]
        return sorted(length for gone, length in runs[:-1] if gone is lost)


def differences(one, other, *, lateness_ns, bursty):
    """The p-value of each property's being the same on two links over which as many packets were sent.

    Args:
        one: the fates of packets on a link.
        other: on the other.
        lateness_ns: how much later than the other either may be.
        bursty: whether losses depend on each other, so that their number varies more than by independent draws.
    """
    found = {
        "delay": of_one_distribution(one.delays, other.delays, lateness_ns=lateness_ns),
        "losses in a row": of_one_distribution(one.runs(lost=True), other.runs(lost=True)),
        "arrivals in a row": of_one_distribution(one.runs(lost=False), other.runs(lost=False)),
        "copies": of_one_probability(one.copies, other.copies),
    }
    return found if bursty else found | {"loss": of_one_probability(sum(one.lost), sum(other.lost))}


def of_one_distribution(one, other, *, lateness_ns=0):
    """The p-value of two samples' being of one distribution; an upper bound where values are discrete.

    Kolmogorov and Smirnov's distance, by Dvoretzky, Kiefer and Wolfowitz's inequality for two samples (F. Wei,
    R. M. Dudley, Statistics and Probability Letters 82, 2012).
    """
    if not one or not other:
        return float(len(one) == len(other))
    distance = distance_beyond(one, other, early=lateness_ns, late=lateness_ns)
    return distance_test(distance, len(one) * len(other) // (len(one) + len(other)))


def of_one_probability(one, other):
    """The p-value of two counts out of equally many trials being of one probability.

    Given their sum, each is hypergeometric; the binomial distribution taken instead is wider.
    """
    return binomial_test(one, one + other, 0.5)
