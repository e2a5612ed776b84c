"""Axes of charts: their scales, and where they have labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

from testbed.report.display_units import COUNT, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

_NARROW, _MANY = 0.4, 3.5
"""Decades of a logarithmic axis: below the first it is about linear, from the second on powers of ten are enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What an axis shows.

    Attributes:
        unit: of its labels.
        low, high: where it begins and ends, in the unit of the values; None leaves it to the values, with zero.
        scale: `linear`, `log`, or `symlog` for values of either sign over several orders of magnitude.
        labels: values that get a label, with the label; None leaves it to the library.
    """

    unit: Unit = COUNT
    low: float | None = None
    high: float | None = None
    scale: str = "linear"
    labels: Sequence[tuple[float, str]] | None = None

    def shown(self, value: float | None) -> str:
        """Return a value in the axis's unit, with as many digits as a drawing needs."""
        return "" if value is None else f"{value / self.unit.worth:.7g}"

    def encoding(self, ticks: int, *, bounds: tuple[str, str] | None = None) -> dict[str, Any]:
        """Return the `scale` and `axis` of a channel.

        Args:
            ticks: about how many labels; where the values bound the axis, it ends at one.
            bounds: Vega expressions of the bounds, instead of `low` and `high`.
        """
        scale: dict[str, Any] = {"type": self.scale}
        if self.scale == "linear":
            scale["zero"] = self.low is None
        scale["nice"] = ticks if self.scale == "linear" and self.high is None else False
        if bounds is not None:
            scale |= {"domainMin": {"expr": bounds[0]}, "domainMax": {"expr": bounds[1]}}
        else:
            if self.low is not None:
                scale["domainMin"] = self.low / self.unit.worth
            if self.high is not None:
                scale["domainMax"] = self.high / self.unit.worth
        if self.scale == "symlog":
            scale["constant"] = 10
        axis: dict[str, Any] = {"format": ".6~g", "tickCount": ticks}
        if self.labels is not None:
            axis["values"] = [value / self.unit.worth for value, _ in self.labels]
            names = json.dumps([label for _, label in self.labels])
            axis["labelExpr"] = f"{names}[indexof({json.dumps(axis['values'])}, datum.value)]"
        elif self.scale == "log" and self.low and self.high:
            axis |= _logarithmic_ticks(self.low / self.unit.worth, self.high / self.unit.worth)
        return {"scale": scale, "axis": axis}


def _logarithmic_ticks(low: float, high: float) -> dict[str, list[float]]:
    """Return round values in a range, so few that each has a label; the library would draw one per digit."""
    decades = log10(high / low)
    if decades < _NARROW:
        return {}
    digits = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 1 else (1, 2, 5) if decades < _MANY else (1,)
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    return {"values": [value for power in powers for digit in digits if low <= (value := digit * 10.0**power) <= high]}
