"""Measured values as text for people: with a unit, and to three digits."""

from __future__ import annotations

from math import floor, log10
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed import units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOT_APPLICABLE = "-"
UNMEASURED = "?"

_DIGITS = 3


def duration(value_ns: float) -> str:
    """A duration, ns, to three digits: `40.2 ms`."""
    return _with_sign(units.DURATION, value_ns)


def rate(value_bps: float) -> str:
    """A rate, bit/s, to three digits: `6.13 mbit/s`."""
    return _with_sign(units.RATE, value_bps)


def ratio(value: float) -> str:
    """A ratio in percent, to three digits and no finer than thousandths: `2.13 %`."""
    return f"{float(f'{round(100 * value, 3):.3g}'):.10g} %"


def _with_sign(quantity: units.Quantity, value: float) -> str:
    return "-" * (value < 0) + quantity.format(_rounded(abs(value)))


def _rounded(value: float) -> int:
    """The nearest integer with no more than three digits that are not zero at the end."""
    whole = round(value)
    return round(whole, _DIGITS - 1 - floor(log10(whole))) if whole else 0


def size(value_bytes: float) -> str:
    """A size, bytes, to three digits: `64.2 KB`."""
    return _with_sign(units.SIZE, value_bytes)


def number(value: float) -> str:
    """A number to three digits: `3.96`."""
    return f"{value:.3g}"


_BY_UNIT: Mapping[str, tuple[Callable[[float], str], Callable[[float], str]]] = MappingProxyType(
    {
        "ns": (duration, lambda value: units.DURATION.format(round(value))),
        "bit/s": (rate, lambda value: units.RATE.format(round(value))),
        "bytes": (size, lambda value: units.SIZE.format(round(value))),
        "ratio": (ratio, lambda value: f"{100 * value!r} %"),
        "count": (lambda value: f"{value:.6g}", repr),
    }
)
"""The functions that format values of each unit: to three digits, and in full."""


def metric_text(value: float, unit: str, *, in_full: bool = False) -> str:
    """Return a metric's value with its unit, to three digits or in full; counts have no unit and are never rounded."""
    show = _BY_UNIT.get(unit, (_count, _count))[in_full]
    return "-" * (value < 0) + show(abs(value))


def _count(value: float) -> str:
    return f"{value:.3g}" if value < 10**_DIGITS and value % 1 else f"{round(value)}"
