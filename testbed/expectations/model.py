"""The syntax tree of an expectation: sums of terms, and comparisons. `str` of a part parses to an equal part."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.metrics import Metric

COMPARISONS: Mapping[str, Callable[[Fraction, Fraction], bool]] = MappingProxyType(
    {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq, "!=": operator.ne}
)
"""Every comparison operator and its function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricTerm:
    """A metric of a workload, or a multiple of it.

    Attributes:
        times: the factor before it, as written; empty if there is none.
    """

    workload: str
    metric: Metric
    times: str = ""

    @property
    def factor(self) -> Fraction:
        """The number by which the metric is multiplied."""
        return Fraction(self.times or 1)

    def __str__(self) -> str:
        return f"{f'{self.times} * ' if self.times else ''}{self.workload}.{self.metric.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A number with its unit.

    Attributes:
        number: as written.
        unit: as written; empty if there is none.
        value: in the unit of the metrics that it is compared with.
    """

    number: str
    unit: str
    value: Fraction

    def __str__(self) -> str:
        return f"{self.number}{'' if self.unit in ('', '%') else ' '}{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A term of a sum, which is added or subtracted."""

    subtracted: bool
    of: MetricTerm | Amount


@dataclass(frozen=True, slots=True)
class Expression:
    """A sum; its first term is never subtracted."""

    terms: tuple[Term, ...]

    @property
    def metrics(self) -> tuple[MetricTerm, ...]:
        """The metrics in it."""
        return tuple(term.of for term in self.terms if isinstance(term.of, MetricTerm))

    def __str__(self) -> str:
        first, *others = self.terms
        return str(first.of) + "".join(f" {'-' if term.subtracted else '+'} {term.of}" for term in others)
