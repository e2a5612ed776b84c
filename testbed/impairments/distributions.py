"""Distributions of delay as tables of quantiles, which both engines draw from, so that they are the same network.

A draw takes one entry of the table, each equally likely, times the standard deviation. Entries are in netem's unit,
1/8192 of a standard deviation (NETEM_DIST_SCALE, net/sched/sch_netem.c), and fit 16 bits as there: what is further out
than `FURTHEST` is drawn as that far, about 4 standard deviations. That takes something off a heavy tail, so tables are
scaled after it: what is drawn has the mean 0 and the standard deviation 1 to within the rounding.
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from statistics import NormalDist, fmean, pstdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.impairments.effects import NamedDistribution

SCALE = 8192
"""One standard deviation in the unit of the tables."""

FURTHEST = 32767
"""The largest entry; the smallest is its negative."""

ENTRIES = 4096
"""How many entries a table has at most; the computed ones have exactly so many, as iproute2's."""

_CLOSE = 1e-5
_ATTEMPTS = 100


def quantiles(distribution: NamedDistribution | tuple[int, ...]) -> tuple[int, ...]:
    """The table of a distribution, ascending, in 1/8192 of a standard deviation; empty for `uniform`, which needs none.

    With u the middles of `ENTRIES` equal steps of (0, 1), before scaling:

    - `normal`: the standard normal's inverse distribution function of u;
    - `pareto`: (1 - u) ** (-1 / 3), the Pareto distribution with exponent 3, less its mean 3/2, by its standard
      deviation sqrt(3/4) (iproute2's table divides by the variance, so its jitter is 15 % off);
    - `paretonormal`: a quarter of the first plus three quarters of the second, as iproute2's netem/paretonormal.c.
    """
    return distribution if isinstance(distribution, tuple) else _computed(distribution)


def standardised(values: Sequence[float]) -> tuple[int, ...]:
    """The table of measured `values`: their quantiles with mean 0 and standard deviation 1.

    Raises:
        ValueError: the values are all the same, or the spread is all in a few that are too far out for a table.
    """
    steps = min(len(values), ENTRIES)
    ascending = sorted(values)
    return _fitted([ascending[(2 * step + 1) * len(values) // (2 * steps)] for step in range(steps)])


@cache
def _computed(distribution: str) -> tuple[int, ...]:
    middles = [(step + 0.5) / ENTRIES for step in range(ENTRIES)]
    normal = [NormalDist().inv_cdf(u) for u in middles]
    pareto = [((1 - u) ** (-1 / 3) - 1.5) / sqrt(0.75) for u in middles]
    match distribution:
        case "normal":
            return _fitted(normal)
        case "pareto":
            return _fitted(pareto)
        case "paretonormal":
            return _fitted([0.25 * one + 0.75 * other for one, other in zip(normal, pareto, strict=True)])
    return ()


def _fitted(values: Sequence[float]) -> tuple[int, ...]:
    """`values`, shifted and scaled to mean 0 and standard deviation 1 with the far ends cut off, as a table."""
    limit = FURTHEST / SCALE
    fitted = list(values)
    for _ in range(_ATTEMPTS):
        mean, deviation = fmean(fitted), pstdev(fitted)
        if not deviation:
            raise ValueError("values that are all the same have no spread")
        if abs(mean) < _CLOSE and abs(deviation - 1) < _CLOSE and max(map(abs, fitted)) <= limit:
            return tuple(round(one * SCALE) for one in fitted)
        fitted = [min(max((one - mean) / deviation, -limit), limit) for one in fitted]
    raise ValueError(f"the spread is all in a few values further out than {limit:.0f} standard deviations")
