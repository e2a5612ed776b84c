"""All statistics of the testbed: of probes, for checks, and of runs, for comparisons and sweeps.

Intervals and tests of counts and quantiles are exact, without a normal approximation. Only the standard library is
used.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from math import atan, cos, exp, fsum, inf, lgamma, log, log1p, pi, sin, sqrt
from statistics import fmean, linear_regression, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HALVINGS = 60
"""Steps of a bisection of [0, 1] down to the precision of a float."""

_TIES = 1 + 1e-7
"""The factor by which probabilities that count as equal may differ, as in R's `binom.test`."""


def binomial_pmf(count: int, trials: int, probability: float) -> float:
    """Return the probability of exactly `count` successes in `trials`."""
    if not 0 <= count <= trials:
        return 0.0
    if probability in (0.0, 1.0):
        return float(count == trials * probability)
    ways = lgamma(trials + 1) - lgamma(count + 1) - lgamma(trials - count + 1)
    return exp(ways + count * log(probability) + (trials - count) * log1p(-probability))


def binomial_cdf(count: int, trials: int, probability: float) -> float:
    """Return the probability of at most `count` successes in `trials`."""
    return min(fsum(binomial_pmf(k, trials, probability) for k in range(count + 1)), 1.0)


def binomial_test(count: int, trials: int, probability: float) -> float:
    """Return the two-sided p-value of `count` successes in `trials`: the probability of all counts no likelier than it.

    This is the exact test by the method of small p-values, as in R's `binom.test`.
    """
    limit = binomial_pmf(count, trials, probability) * _TIES
    likelihoods = (binomial_pmf(k, trials, probability) for k in range(trials + 1))
    return min(fsum(likelihood for likelihood in likelihoods if likelihood <= limit), 1.0)


def clopper_pearson(count: int, trials: int, confidence: float) -> tuple[float, float]:
    """Return the exact confidence interval of a probability after `count` successes in `trials`.

    C. J. Clopper, E. S. Pearson, Biometrika 26 (1934): the probabilities at which neither tail from `count` on is
    less likely than (1 - confidence) / 2. The coverage is at least `confidence`.
    """
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else _bisect(lambda p: 1 - binomial_cdf(count - 1, trials, p) < tail)
    high = 1.0 if count == trials else _bisect(lambda p: binomial_cdf(count, trials, p) > tail)
    return low, high


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """Return a quantile of a sample in ascending order, interpolated between neighbours (R's type 7)."""
    position = fraction * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def quantile_interval(ordered: Sequence[int], fraction: float, confidence: float) -> tuple[float, float]:
    """Return the confidence interval of a distribution's quantile, from an independent sample in ascending order.

    It is exact for any distribution: the number of values below the quantile is binomial, so two order statistics
    enclose it (H. A. David, H. N. Nagaraja, Order Statistics, 7.1). If the sample is too small to bound a side, that
    side is infinite.
    """
    size = len(ordered)
    tail = (1 - confidence) / 2
    low, high, below, above = -inf, inf, 0.0, 0.0
    for rank in range(size):
        below += binomial_pmf(rank, size, fraction)
        if below > tail:
            break
        low = ordered[rank]
    for rank in range(size):
        above += binomial_pmf(size - rank, size, fraction)
        if above > tail:
            break
        high = ordered[size - 1 - rank]
    return low, high


def distance_beyond(sample: Sequence[float], asked: Sequence[float], *, early: float, late: float) -> float:
    """Return the Kolmogorov-Smirnov distance of a sample from the requested distribution, with a tolerance.

    Each measured value may be less than the drawn one by up to `early`, or more by up to `late`; only distances beyond
    that count.

    Args:
        sample: in ascending order.
        asked: quantiles at equal steps, ascending.
        early: not negative.
        late: not negative.
    """
    furthest = 0.0
    for rank, value in enumerate(sample):
        least = bisect_left(asked, value - late) / len(asked)
        most = bisect_right(asked, value + early) / len(asked)
        furthest = max(furthest, least - rank / len(sample), (rank + 1) / len(sample) - most)
    return furthest


def distance_test(distance: float, size: int) -> float:
    """Return an upper bound of the p-value of a Kolmogorov-Smirnov distance of an independent sample.

    The Dvoretzky-Kiefer-Wolfowitz inequality with Massart's constant (Annals of Probability 18, 1990) holds for any
    distribution and any size.
    """
    return min(2 * exp(-2 * size * distance**2), 1.0)


LEAST_RUNS = 3
"""The fewest values that give an interval: that of two values is extremely wide or, by chance, far too narrow."""


_AT_A_BOUND = 1e-100
"""No measured value is nearer to a bound than this, and nearer ones would overflow the computation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The range of a quantity, and a transformation that removes its bounds.

    Intervals computed on the transformed scale never leave the range.

    Attributes:
        low, high: the bounds of the range.
        forward: transforms the quantity to the scale; defined between the bounds.
        backward: the inverse of `forward`.
        slope: the derivative of `forward`.
    """

    low: float
    high: float
    forward: Callable[[float], float]
    backward: Callable[[float], float]
    slope: Callable[[float], float]

    def has(self, value: float) -> bool:
        """Return whether the value lies between the bounds, and not at one, so that `forward` is defined."""
        return self.low + _AT_A_BOUND < value < self.high

    def cut(self, interval: tuple[float, float]) -> tuple[float, float]:
        """Return the part of an interval that is in the range."""
        return max(interval[0], self.low), min(interval[1], self.high)


_EXPONENT = 700.0
"""About the largest x whose e^x is a finite float."""

LINEAR = Scale(low=-inf, high=inf, forward=lambda x: x, backward=lambda x: x, slope=lambda _: 1.0)
"""For quantities that may be any number."""

LOG = Scale(low=0.0, high=inf, forward=log, backward=lambda x: exp(min(x, _EXPONENT)), slope=lambda x: 1 / x)
"""For quantities that are never negative: times, rates, sizes, counts."""

LOGIT = Scale(
    low=0.0,
    high=1.0,
    forward=lambda x: log(x) - log1p(-x),
    backward=lambda x: 1 / (1 + exp(min(-x, _EXPONENT))),
    slope=lambda x: 1 / (x * (1 - x)),
)
"""For ratios from 0 to 1."""


def scale_of(unit: str) -> Scale:
    """Return the scale of values in a unit, see `testbed.metrics.Metric.unit`."""
    return {"": LINEAR, "ratio": LOGIT}.get(unit, LOG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A metric estimated from several runs.

    Attributes:
        values: the value of each run.
        mean: of the values.
        interval: confidence interval of the mean; None if there are too few runs.
    """

    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: Sequence[float], scale: Scale, confidence: float) -> Estimate | None:
        """Return the estimate from the values of runs, see `mean_interval`; None if there are no values."""
        if not values:
            return None
        return cls(values=tuple(values), mean=fmean(values), interval=mean_interval(values, scale, confidence))


def mean_interval(values: Sequence[float], scale: Scale, confidence: float) -> tuple[float, float] | None:
    """Return the confidence interval of the mean of independent values: Student's t on a scale without bounds.

    The delta method transforms the standard error of the mean to the scale (W. Q. Meeker, G. J. Hahn, L. A. Escobar,
    Statistical Intervals, 2nd ed. (2017), D.4), so values at a bound do no harm. A bootstrap of few values is
    overconfident: with five normally distributed values, its nominal 95 % interval covers 86 %.

    Args:
        values: in the range of the scale.
        scale: of the quantity.
        confidence: from 0 to 1.

    Returns:
        The interval; None for fewer than `LEAST_RUNS` values.
    """
    if len(values) < LEAST_RUNS:
        return None
    mean, error = fmean(values), stdev(values) / sqrt(len(values))
    reach = t_quantile((1 + confidence) / 2, len(values) - 1) * error
    return _around(mean, reach, scale)


def _around(value: float, reach: float, scale: Scale) -> tuple[float, float]:
    """Return the interval of `reach` on either side of a value, symmetric on the scale if that covers the value."""
    if not scale.has(value):
        return scale.cut((value - reach, value + reach))
    middle, reach = scale.forward(value), reach * scale.slope(value)
    return scale.backward(middle - reach), scale.backward(middle + reach)


def difference_interval(
    before: Sequence[float], after: Sequence[float], scale: Scale, confidence: float
) -> tuple[float, float] | None:
    """Return the confidence interval of the difference of two means over runs: Welch's t on a scale without bounds.

    B. L. Welch, Biometrika 34 (1947). On the logarithmic scale it is the interval of the ratio of the means, applied to
    the mean of `before`, so that no quantity decreases by more than 100 %.

    Args:
        before: in the range of the scale.
        after: likewise.
        scale: of the quantity.
        confidence: from 0 to 1.

    Returns:
        The interval; None if either has fewer than `LEAST_RUNS` values.
    """
    if min(len(before), len(after)) < LEAST_RUNS:
        return None
    first, second = fmean(before), fmean(after)
    fits = scale.has(first) and scale.has(second)
    slopes = (scale.slope(first), scale.slope(second)) if fits else (1.0, 1.0)
    parts = [
        ((stdev(values) * slope) ** 2 / len(values), len(values) - 1)
        for values, slope in zip((before, after), slopes, strict=True)
    ]
    variance = fsum(part for part, _ in parts)
    if not variance:
        return second - first, second - first
    freedom = 1 / fsum((part / variance) ** 2 / degrees for part, degrees in parts)
    reach = t_quantile((1 + confidence) / 2, max(1, int(freedom))) * sqrt(variance)
    if fits:
        middle = scale.forward(second)
        low, high = scale.backward(middle - reach), scale.backward(middle + reach)
    else:
        low, high = scale.cut((second - reach, second + reach))
    return low - first, high - first


def t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t for a probability of at least 0.5 and whole degrees of freedom."""
    high = 1.0
    while t_cdf(high, freedom) < probability:
        high *= 2
    return high * _bisect(lambda part: t_cdf(part * high, freedom) < probability)


def t_cdf(value: float, freedom: int) -> float:
    """Return the cumulative distribution of Student's t (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    theta = atan(value / sqrt(freedom))
    odd = freedom % 2
    term = cos(theta) if odd else 1.0
    terms = []
    for power in range(2 + odd, freedom + 1, 2):
        terms.append(term)
        term *= cos(theta) ** 2 * (power - 1) / power
    inside = 2 / pi * (theta + sin(theta) * fsum(terms)) if odd else sin(theta) * fsum(terms)
    return (1 + inside) / 2


def log_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the exponent of the power law fitted to points with positive coordinates: least squares of logarithms."""
    return linear_regression([log(value) for value in x], [log(value) for value in y]).slope


def jain(shares: Sequence[float]) -> float | None:
    """Return Jain's fairness index of the shares of flows: 1 if all are equal, 1/n if one flow has everything.

    R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness and Discrimination", DEC-TR-301 (1984). None if all
    shares are 0.
    """
    squares = fsum(share * share for share in shares)
    return fsum(shares) ** 2 / (len(shares) * squares) if squares else None


def _bisect(is_below: Callable[[float], bool]) -> float:
    """Return the value in [0, 1] at which a condition ceases to hold."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
