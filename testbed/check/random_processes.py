"""Long-run statistics of events that happen to packets (loss, duplication, ...): their rate and their correlation."""

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
    LossSteps,
    RandomEvent,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.impairments import Loss

_DOUBLINGS = 48
"""A Markov chain is followed over 2^48 packets, more than any link carries."""

_DRAWS = 1 << 18
_BATCH = 1 << 9

Matrix = list[list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomProcess:
    """A random event that happens to some packets.

    Attributes:
        rate: the probability that it happens to a packet.
        twice: the probability that it happens to two packets in a row.
        inflation: the design effect: the variance of the number of events among many packets, divided by the variance
            if they were independent. The effective sample size is the number of packets divided by it.
    """

    rate: float
    twice: float
    inflation: float = 1.0

    @property
    def ends(self) -> float:
        """The probability that a packet that it happens to is the last of a burst: 1 / mean burst length."""
        return 1 - self.twice / self.rate if self.rate else 1.0

    def or_else(self, rate: float) -> RandomProcess:
        """Return the process of this event or an independent one of the given rate happening, or both."""
        spared = 1 - rate
        neither = spared**2 * (1 - 2 * self.rate + self.twice)
        total = 1 - spared * (1 - self.rate)
        own, both = self.rate * (1 - self.rate), total * (1 - total)
        inflation = 1 + (self.inflation - 1) * spared**2 * own / both if both else 1.0
        return RandomProcess(rate=total, twice=2 * total - 1 + neither, inflation=inflation)


def independent(rate: float) -> RandomProcess:
    """Return the process of an event that happens to each packet independently with the same probability."""
    return RandomProcess(rate=rate, twice=rate**2)


NEVER = independent(0)


@cache
def of(model: Loss | RandomEvent | None) -> RandomProcess:
    """Return the process of a loss or an event of `testbed.impairments`; of a trace, that of its mean."""
    match model:
        case None | Blackhole():
            return independent(0 if model is None else 1)
        case IndependentLoss(probability=probability) | RandomEvent(probability=probability, correlation=0):
            return independent(probability / CERTAIN)
        case CorrelatedLoss() | RandomEvent():
            return _correlated(model.probability, model.correlation)
        case LossSteps():
            return independent(model.mean / CERTAIN)
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
                probability / CERTAIN for probability in (model.p13, model.p31, model.p32, model.p23, model.p14)
            )
            return _chain(
                [[1 - p13 - p14, 0, p13, p14], [0, 1 - p23, p23, 0], [p31, p32, 1 - p31 - p32, 0], [1, 0, 0, 0]],
                [0, 0, 1, 1],
            )


def mixed(correlation: int) -> Iterator[float]:
    """Yield draws from [0, 1) as netem's `get_crandom` does: each mixes a uniform draw with the draw before it."""
    rho = correlation / CERTAIN
    draw = random.Random(0).random
    last = draw()
    while True:
        last = draw() * (1 - rho) + last * rho
        yield last


def _correlated(probability: int, correlation: int) -> RandomProcess:
    """Return the process of correlated draws, estimated from many of them: there is no closed form."""
    threshold = probability / CERTAIN
    draws = mixed(correlation)
    happens = bytes(next(draws) < threshold for _ in range(_DRAWS))
    rate = sum(happens) / _DRAWS
    if rate in (0, 1):
        return independent(rate)
    twice = sum(earlier & later for earlier, later in pairwise(happens)) / (_DRAWS - 1)
    counts = [sum(happens[start : start + _BATCH]) for start in range(0, _DRAWS, _BATCH)]
    spread = sum((count - rate * _BATCH) ** 2 for count in counts) / len(counts)
    return RandomProcess(rate=rate, twice=twice, inflation=max(spread / (_BATCH * rate * (1 - rate)), 1.0))


def _chain(moves: Matrix, happens: Sequence[float]) -> RandomProcess:
    """Return the process of an event whose probability depends on the state of a Markov chain.

    Args:
        moves: the transition matrix, from row to column.
        happens: the probability of the event in each state.
    """
    lazy = [
        [(probability + (row == column)) / 2 for column, probability in enumerate(probabilities)]
        for row, probabilities in enumerate(moves)
    ]
    for _ in range(_DOUBLINGS):  # the lazy chain has the same stationary distribution, and is aperiodic
        lazy = _product(lazy, lazy)
    weights = [share * happens[state] for state, share in enumerate(lazy[0])]
    rate = sum(weights)
    if not 0 < rate < 1:
        return independent(rate)
    # The sum of the covariances over all lags; each step doubles the number of lags that it covers.
    power = moves
    excess = [value - rate for value in _applied(moves, happens)]
    twice = sum(weight * (value + rate) for weight, value in zip(weights, excess, strict=True))
    for _ in range(_DOUBLINGS):
        excess = [near + far for near, far in zip(excess, _applied(power, excess), strict=True)]
        shift = sum(weight * value for weight, value in zip(lazy[0], excess, strict=True))  # 0, but for rounding
        excess = [value - shift for value in excess]
        power = _product(power, power)
    covariance = sum(weight * value for weight, value in zip(weights, excess, strict=True))
    return RandomProcess(rate=rate, twice=twice, inflation=max(1 + 2 * covariance / (rate * (1 - rate)), 1.0))


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = list(zip(*right, strict=True))
    product = [[sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in left]
    return [[value / sum(row) for value in row] for row in product]  # rounding must not add up over squarings


def _applied(matrix: Matrix, vector: Sequence[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]
