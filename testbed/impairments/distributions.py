"""Distributions of delay as tables of quantiles, shared by both engines so that they emulate the same network.

A draw takes one entry of the table, each equally likely, times the standard deviation. Entries are in netem's unit,
1/8192 of a standard deviation (NETEM_DIST_SCALE, net/sched/sch_netem.c), and have 16 bits as in netem: values beyond
`FURTHEST`, about 4 standard deviations, are clipped. Clipping shortens heavy tails, so tables are scaled afterwards:
the draws have the mean 0 and the standard deviation 1 up to rounding.
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
"""The most entries of a table; computed tables have exactly as many, like those of iproute2."""

_CLOSE = 1e-5
_ATTEMPTS = 100


def quantiles(distribution: NamedDistribution | tuple[int, ...]) -> tuple[int, ...]:
    """Return the ascending table of a distribution, in 1/8192 of a standard deviation; empty for `uniform`.

    With u the middles of `ENTRIES` equal steps of (0, 1), before scaling:

    - `normal`: the standard normal's inverse distribution function of u;
    - `pareto`: (1 - u) ** (-1 / 3), the Pareto distribution with exponent 3, less its mean 3/2, by its standard
      deviation sqrt(3/4) (iproute2's table divides by the variance, so its jitter is 15 % off);
    - `paretonormal`: a quarter of the first plus three quarters of the second, as iproute2's netem/paretonormal.c.
    """
    return distribution if isinstance(distribution, tuple) else _computed(distribution)


def standardised(values: Sequence[float]) -> tuple[int, ...]:
    """Return the table of measured `values`: their quantiles with mean 0 and standard deviation 1.

    Raises:
        ValueError: the values are all the same, or only a few extreme values differ.
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
            return _fitted([0.25 * x + 0.75 * y for x, y in zip(normal, pareto, strict=True)])
    return ()


def _fitted(values: Sequence[float]) -> tuple[int, ...]:
    """Return `values` as a table, shifted and scaled to mean 0 and standard deviation 1, with the tails clipped."""
    limit = FURTHEST / SCALE
    fitted = list(values)
    for _ in range(_ATTEMPTS):
        mean, deviation = fmean(fitted), pstdev(fitted)
        if not deviation:
            raise ValueError("values that are all the same have no spread")
        if abs(mean) < _CLOSE and abs(deviation - 1) < _CLOSE and max(map(abs, fitted)) <= limit:
            return tuple(round(value * SCALE) for value in fitted)
        fitted = [min(max((value - mean) / deviation, -limit), limit) for value in fitted]
    raise ValueError(f"the spread is all in a few values further out than {limit:.0f} standard deviations")
