"""What repeated runs tell of a figure: the mean, how far it may be off, and how it grows with what is varied.

Intervals are Student's t over runs, each run one value. With the few repetitions that sweeps have, a bootstrap claims
more than it knows: of five normally distributed values, its nominal 95 % cover 86 %, those of t 95 %. In return t wants
values that are about normally distributed, which figures over many packets are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan, cos, fsum, log, pi, sin, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
_HALVINGS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure over several runs.

    Attributes:
        values: of each run.
        mean: of those.
        interval: where the mean of any number of runs would be, with a confidence of 95 %; None of a single run.
    """

    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate | None:
        """The estimate from the values of runs; None where there are none."""
        if not values:
            return None
        mean, interval = fmean(values), None
        if len(values) > 1:
            reach = t_quantile((1 + CONFIDENCE) / 2, len(values) - 1) * stdev(values) / sqrt(len(values))
            interval = (mean - reach, mean + reach)
        return cls(values=tuple(values), mean=mean, interval=interval)


def t_quantile(probability: float, freedom: int) -> float:
    """The quantile, 0.5 or more, of Student's t with a whole number of degrees of freedom."""
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, freedom) < probability else (low, middle)
    return high


def t_cdf(value: float, freedom: int) -> float:
    """The distribution of Student's t (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and .4)."""
    theta = atan(value / sqrt(freedom))
    odd = freedom % 2
    term = cos(theta) if odd else 1.0
    terms = []
    for power in range(2 + odd, freedom + 1, 2):
        terms.append(term)
        term *= cos(theta) ** 2 * (power - 1) / power
    within = 2 / pi * (theta + sin(theta) * fsum(terms)) if odd else sin(theta) * fsum(terms)
    return (1 + within) / 2


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The exponent of the power law nearest to points whose coordinates are positive: least squares of logarithms."""
    log_x, log_y = [log(one) for one in x], [log(one) for one in y]
    mean_x, mean_y = fmean(log_x), fmean(log_y)
    spread = fsum((one - mean_x) ** 2 for one in log_x)
    return fsum((one - mean_x) * (other - mean_y) for one, other in zip(log_x, log_y, strict=True)) / spread
