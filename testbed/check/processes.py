"""Events that happen to some packets of a link (loss, duplication, ...) in the long run: how often, and how bunched."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from testbed.impairments import (
    CERTAIN,
    Blackhole,
    CorrelatedLoss,
    FourState,
    GilbertElliott,
    IndependentLoss,
    RandomEvent,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.impairments import Loss

_DOUBLINGS = 48
"""A chain is followed over 2^48 packets: further than any that runs."""

_DRAWS = 1 << 18
_BATCH = 1 << 9

Matrix = list[list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """An event that happens to a packet or does not.

    Attributes:
        rate: probability that it happens to a packet.
        twice: that it happens to two packets in a row.
        inflation: how much more the number of events in a long row of packets varies than if they were independent:
            so many times fewer packets would tell as much (the design effect; its inverse times n is the effective
            sample size).
    """

    rate: float
    twice: float
    inflation: float = 1.0

    @property
    def ends(self) -> float:
        """The probability that the packet after one that it happens to is spared: 1 / (mean length of a burst)."""
        return 1 - self.twice / self.rate if self.rate else 1.0

    def or_else(self, rate: float) -> Process:
        """This event, or another one that happens to packets at random."""
        spared = 1 - rate
        neither = spared**2 * (1 - 2 * self.rate + self.twice)
        total = 1 - spared * (1 - self.rate)
        own, both = self.rate * (1 - self.rate), total * (1 - total)
        inflation = 1 + (self.inflation - 1) * spared**2 * own / both if both else 1.0
        return Process(rate=total, twice=2 * total - 1 + neither, inflation=inflation)


def independent(rate: float) -> Process:
    """An event that happens to each packet with the same probability, whatever happened to others."""
    return Process(rate=rate, twice=rate**2)


NEVER = independent(0)


@cache
def of(model: Loss | RandomEvent | None) -> Process:
    """The process that a loss or an event of `testbed.impairments` stands for."""
    match model:
        case None:
            return NEVER
        case Blackhole():
            return independent(1)
        case IndependentLoss(probability=probability) | RandomEvent(probability=probability, correlation=0):
            return independent(probability / CERTAIN)
        case CorrelatedLoss() | RandomEvent():
            return _correlated(model.probability, model.correlation)
        case GilbertElliott():
            return _chain(
                [
                    [1 - model.to_bad / CERTAIN, model.to_bad / CERTAIN],
                    [model.to_good / CERTAIN, 1 - model.to_good / CERTAIN],
                ],
                [model.loss_good / CERTAIN, model.loss_bad / CERTAIN],
            )
        case FourState():
            p13, p31, p32, p23, p14 = (
                each / CERTAIN for each in (model.p13, model.p31, model.p32, model.p23, model.p14)
            )
            return _chain(
                [[1 - p13 - p14, 0, p13, p14], [0, 1 - p23, p23, 0], [p31, p32, 1 - p31 - p32, 0], [1, 0, 0, 0]],
                [0, 0, 1, 1],
            )


def mixed(correlation: int) -> Iterator[float]:
    """Draws from [0, 1) as netem's `get_crandom` makes them: each a mix of a uniform one and the draw before it."""
    rho = correlation / CERTAIN
    draw = random.Random(0).random
    last = draw()
    while True:
        last = draw() * (1 - rho) + last * rho
        yield last


def _correlated(probability: int, correlation: int) -> Process:
    """Estimated, from a long row of draws: there is no closed form."""
    threshold = probability / CERTAIN
    draws = mixed(correlation)
    happens = bytes(next(draws) < threshold for _ in range(_DRAWS))
    rate = sum(happens) / _DRAWS
    if rate in (0, 1):
        return independent(rate)
    twice = sum(one & other for one, other in pairwise(happens)) / (_DRAWS - 1)
    counts = [sum(happens[start : start + _BATCH]) for start in range(0, _DRAWS, _BATCH)]
    spread = sum((count - rate * _BATCH) ** 2 for count in counts) / len(counts)
    return Process(rate=rate, twice=twice, inflation=max(spread / (_BATCH * rate * (1 - rate)), 1.0))


def _chain(moves: Matrix, happens: Sequence[float]) -> Process:
    """An event of which the probability, `happens`, is that of a Markov chain's state."""
    lazy = [
        [(probability + (row == column)) / 2 for column, probability in enumerate(each)]
        for row, each in enumerate(moves)
    ]
    for _ in range(_DOUBLINGS):  # the same stationary distribution, and no cycles
        lazy = _product(lazy, lazy)
    weights = [each * happens[state] for state, each in enumerate(lazy[0])]
    rate = sum(weights)
    if not 0 < rate < 1:
        return independent(rate)
    # Sum over all lags of the covariance, times two, beside the variance; doubling how far it looks with each step.
    power = moves
    excess = [each - rate for each in _applied(moves, happens)]
    twice = sum(weight * (each + rate) for weight, each in zip(weights, excess, strict=True))
    for _ in range(_DOUBLINGS):
        excess = [one + other for one, other in zip(excess, _applied(power, excess), strict=True)]
        shift = sum(weight * each for weight, each in zip(lazy[0], excess, strict=True))  # 0, but for rounding
        excess = [each - shift for each in excess]
        power = _product(power, power)
    covariance = sum(weight * each for weight, each in zip(weights, excess, strict=True))
    return Process(rate=rate, twice=twice, inflation=max(1 + 2 * covariance / (rate * (1 - rate)), 1.0))


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = list(zip(*right, strict=True))
    product = [[sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in left]
    return [[each / sum(row) for each in row] for row in product]  # rounding must not add up over squarings


def _applied(matrix: Matrix, vector: Sequence[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]
