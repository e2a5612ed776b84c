"""Axes: where a value is on them, and at which values to put a tick."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from math import ceil, floor, log10
from typing import Protocol, Self

_STEPS = (1, 2, 5, 10)
_NARROW = 0.3
"""Below so many decades equal steps and equal ratios look alike, and round numbers are rare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit that an axis counts in: `worth` is what one of it is in the values' own unit."""

    name: str
    worth: float


_TIME = (
    Unit(name="ns", worth=1),
    Unit(name="us", worth=1e3),
    Unit(name="ms", worth=1e6),
    Unit(name="s", worth=1e9),
)
_RATE = (
    Unit(name="bit/s", worth=1),
    Unit(name="kbit/s", worth=1e3),
    Unit(name="mbit/s", worth=1e6),
    Unit(name="gbit/s", worth=1e9),
)
_SIZE = (
    Unit(name="bytes", worth=1),
    Unit(name="KB", worth=1e3),
    Unit(name="MB", worth=1e6),
    Unit(name="GB", worth=1e9),
)
SECONDS = _TIME[3]
PERCENT = Unit(name="%", worth=0.01)
ONE = Unit(name="", worth=1)


def time_unit(most: float) -> Unit:
    """The unit in which to write durations up to `most`, ns."""
    return _fitting(_TIME, most / 2)


def rate_unit(most: float) -> Unit:
    """The unit in which to write rates up to `most`, bit/s."""
    return _fitting(_RATE, most)


def size_unit(most: float) -> Unit:
    """The unit in which to write sizes up to `most`, bytes."""
    return _fitting(_SIZE, most)


def _fitting(units: tuple[Unit, ...], most: float) -> Unit:
    return [units[0], *(unit for unit in units if unit.worth <= most)][-1]


class Axis(Protocol):
    """One axis."""

    def at(self, value: float) -> float:
        """Where a value is: 0 at the low end, 1 at the high one; beyond is at the end."""

    def ticks(self) -> list[tuple[float, str]]:
        """Values to mark, and what to write there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """No axis: a panel that has only rugs has none."""

    def at(self, _value: float) -> float:
        """See `Axis`."""
        return 0

    def ticks(self) -> list[tuple[float, str]]:
        """See `Axis`."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """An axis with equal steps, from `low` to `high`, in the values' own unit."""

    low: float
    high: float
    unit: Unit = ONE
    most_ticks: int = 5

    @classmethod
    def up_to(cls, high: float, unit: Unit = ONE, most_ticks: int = 5) -> Self:
        """From zero to the first tick that is not below `high`."""
        step = round_step(high / unit.worth or 1, most_ticks)
        top = max(1, ceil(high / unit.worth / step - 1e-9)) * step * unit.worth
        return cls(low=0, high=top, unit=unit, most_ticks=most_ticks)

    def at(self, value: float) -> float:
        """See `Axis`."""
        return min(1, max(0, (value - self.low) / ((self.high - self.low) or 1)))

    def ticks(self) -> list[tuple[float, str]]:
        """See `Axis`."""
        low, high = self.low / self.unit.worth, self.high / self.unit.worth
        step = round_step(high - low or 1, self.most_ticks)
        marks = [number * step for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]
        return [(mark * self.unit.worth, _number(mark)) for mark in marks]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logarithmic:
    """An axis on which equal ratios are equal steps, from `low`, more than 0, to `high`."""

    low: float
    high: float
    unit: Unit = ONE

    def at(self, value: float) -> float:
        """See `Axis`."""
        if value <= self.low:
            return 0
        return min(1, log10(value / self.low) / log10(self.high / self.low))

    def ticks(self) -> list[tuple[float, str]]:
        """See `Axis`."""
        low, high = self.low / self.unit.worth, self.high / self.unit.worth
        decades = log10(high / low)
        if decades < _NARROW:
            return Linear(low=self.low, high=self.high, unit=self.unit).ticks()
        digits = (1,) if decades > 4 else (1, 2, 5) if decades > 0.7 else (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)  # noqa: PLR2004
        marks = []
        for power in count(floor(log10(low))):
            if 10**power > high:
                break
            marks += [
                digit * 10**power for digit in digits if low <= digit * 10**power * (1 + 1e-9) <= high * (1 + 2e-9)
            ]
        return [(mark * self.unit.worth, _number(mark)) for mark in marks]


class Percentiles(Logarithmic):
    """A logarithmic axis of shares that are greater, with the percentile that each one is."""

    def ticks(self) -> list[tuple[float, str]]:
        """See `Axis`."""
        marks = Logarithmic.ticks(self)
        return [(share, f"p{_number(100 * (1 - share))} · {label}" if share < 1 else label) for share, label in marks]


def round_step(span: float, most: int) -> float:
    """The least round step (1, 2 or 5 of a power of ten) that divides a span into no more than `most` parts."""
    power: float = 10 ** floor(log10(span / most))
    return next(digit * power for digit in _STEPS if span / (digit * power) <= most * (1 + 1e-9))


def _number(value: float) -> str:
    return f"{value:.10g}"
