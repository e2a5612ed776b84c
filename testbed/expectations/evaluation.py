"""Evaluation of expectations against measured metrics."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

from testbed.expectations.model import COMPARISONS, Amount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.expectations.model import Expression, MetricTerm
    from testbed.expectations.parser import Expectation


class Measured(Protocol):
    """The metrics of one workload by name, and why there is none; see `testbed.workloads.summary.Summary`."""

    @property
    def values(self) -> Mapping[str, int | float | str | None]:
        """By name."""

    @property
    def missing(self) -> Mapping[str, str]:
        """By name of those that are None or not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationOutcome:
    """The outcome of an expectation.

    Attributes:
        expectation: its text.
        comparison: its comparison operator.
        unit: of both values: `ns`, `bit/s`, `bytes`, `ratio` or `count`.
        found, wanted: the values of its left and its right side; None if a metric is missing.
        passed: whether it holds; False if it is undecided.
        reason: why it is undecided, or None.
    """

    expectation: str
    comparison: str
    unit: str
    found: float | None
    wanted: float | None
    passed: bool
    reason: str | None = None


def evaluate(expectation: Expectation, measured: Mapping[str, Measured]) -> ExpectationOutcome:
    """Evaluate an expectation.

    Args:
        expectation: from `parse`.
        measured: the metrics by workload.
    """
    missing = [*_missing(expectation.left, measured), *_missing(expectation.right, measured)]
    found, wanted = (_value(side, measured) for side in (expectation.left, expectation.right))
    holds = found is not None and wanted is not None and COMPARISONS[expectation.comparison](found, wanted)
    return ExpectationOutcome(
        expectation=str(expectation),
        comparison=expectation.comparison,
        unit=expectation.unit,
        found=_plain(found),
        wanted=_plain(wanted),
        passed=holds,
        reason="; ".join(dict.fromkeys(missing)) or None,
    )


def _missing(side: Expression, measured: Mapping[str, Measured]) -> Iterator[str]:
    """Yield the reasons why the value of a side is unknown."""
    for term in side.metrics:
        if term.workload not in measured:
            yield f"{term.workload} was not run"
        elif _number(term, measured) is None:
            why = measured[term.workload].missing.get(term.metric.name, "it was not reported")
            yield f"{term.workload}.{term.metric.label}: {why}"


def _value(side: Expression, measured: Mapping[str, Measured]) -> Fraction | None:
    total = Fraction(0)
    for term in side.terms:
        value = term.of.value if isinstance(term.of, Amount) else _number(term.of, measured)
        if value is None:
            return None
        total += -value if term.subtracted else value
    return total


def _number(term: MetricTerm, measured: Mapping[str, Measured]) -> Fraction | None:
    """Return a metric's value. A float stands for its shortest decimal notation: 0.05 is exactly 5 %."""
    values = measured[term.workload].values if term.workload in measured else {}
    value = values.get(term.metric.name)
    return None if value is None else term.factor * Fraction(str(value))


def _plain(value: Fraction | None) -> float | None:
    """Return the nearest number that JSON can represent."""
    if value is None:
        return None
    return value.numerator if value.denominator == 1 else float(value)
