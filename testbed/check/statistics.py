"""Intervals and tests: exact for counts and quantiles, without a normal approximation. Standard library only."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import exp, fsum, inf, lgamma, log, log1p, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HALVINGS = 60
"""Steps of a bisection of [0, 1]: to the precision of a float."""

_TIES = 1 + 1e-7
"""By how much a probability may exceed another and count as the same (R's `binom.test` has the same)."""


def binomial_pmf(count: int, trials: int, probability: float) -> float:
    """The probability of exactly `count` successes in `trials`."""
    if not 0 <= count <= trials:
        return 0.0
    if probability in (0.0, 1.0):
        return float(count == trials * probability)
    ways = lgamma(trials + 1) - lgamma(count + 1) - lgamma(trials - count + 1)
    return exp(ways + count * log(probability) + (trials - count) * log1p(-probability))


def binomial_cdf(count: int, trials: int, probability: float) -> float:
    """The probability of at most `count` successes in `trials`."""
    return min(fsum(binomial_pmf(k, trials, probability) for k in range(count + 1)), 1.0)


def binomial_test(count: int, trials: int, probability: float) -> float:
    """The p-value of `count` successes in `trials`, two-sided: the probability of all counts no likelier than it.

    This is the exact test by the method of small p-values, as R's `binom.test` has it.
    """
    limit = binomial_pmf(count, trials, probability) * _TIES
    likelihoods = (binomial_pmf(k, trials, probability) for k in range(trials + 1))
    return min(fsum(likelihood for likelihood in likelihoods if likelihood <= limit), 1.0)


def clopper_pearson(count: int, trials: int, confidence: float) -> tuple[float, float]:
    """The exact interval of a probability of which `count` successes in `trials` were seen.

    C. J. Clopper, E. S. Pearson, Biometrika 26 (1934): the probabilities at which neither tail from `count` on is
    less likely than (1 - confidence) / 2. It covers the truth with at least the confidence.
    """
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else _bisect(lambda p: 1 - binomial_cdf(count - 1, trials, p) < tail)
    high = 1.0 if count == trials else _bisect(lambda p: binomial_cdf(count, trials, p) > tail)
    return low, high


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """The quantile of a sample in ascending order, interpolated between neighbours (R's type 7)."""
    position = fraction * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def quantile_interval(ordered: Sequence[int], fraction: float, confidence: float) -> tuple[float, float]:
    """The interval of a distribution's quantile, from an independent sample in ascending order.

    Exact whatever the distribution: how many of the sample lie below the quantile is binomial, so two of the sample's
    own values enclose it (H. A. David, H. N. Nagaraja, Order Statistics, 7.1). A side that the sample is too small to
    bound is infinite.
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
    """How far the distribution of a sample is from the one asked for: Kolmogorov and Smirnov's distance.

    Each value of the sample may be less by `early` or more by `late` than what was drawn; only what that can't explain
    counts.

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
    """The most that the p-value of a Kolmogorov-Smirnov distance of an independent sample can be.

    Dvoretzky, Kiefer and Wolfowitz's inequality with Massart's constant (Annals of Probability 18, 1990): it holds for
    any distribution and any size.
    """
    return min(2 * exp(-2 * size * distance**2), 1.0)


def deviation(sample: Sequence[float]) -> float:
    """The standard deviation of what a sample is from; 0 of a single value."""
    return sqrt(_spread(sample)[0])


def deviation_interval(sample: Sequence[float], confidence: float) -> tuple[float, float]:
    """The interval of that, for large samples, by their own fourth moment (H. Cramer, Mathematical Methods, 27.4)."""
    variance, error = _spread(sample)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return sqrt(max(variance - reach, 0.0)), sqrt(variance + reach)


def _spread(sample: Sequence[float]) -> tuple[float, float]:
    """The variance, and the standard error of that."""
    size, mean = len(sample), fsum(sample) / len(sample)
    squares = [(value - mean) ** 2 for value in sample]
    variance = fsum(squares) / max(size - 1, 1)
    fourth = fsum(square**2 for square in squares) / size
    return variance, sqrt(max(fourth - variance**2, 0.0) / size)


def _bisect(is_below: Callable[[float], bool]) -> float:
    """Where in [0, 1] a condition ceases to hold."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
