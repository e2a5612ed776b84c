"""The unit in which an axis shows values, chosen by the greatest of them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit of an axis; `worth` is what one of it is in the unit of the values."""

    name: str
    worth: float


COUNT = Unit(name="", worth=1)
PERCENT = Unit(name="%", worth=0.01)
SECONDS = Unit(name="s", worth=1e9)

_UNITS: Mapping[str, tuple[Unit, ...]] = MappingProxyType(
    {
        "ns": (Unit(name="ns", worth=1), Unit(name="µs", worth=1e3), Unit(name="ms", worth=1e6), SECONDS),
        "bit/s": (
            Unit(name="bit/s", worth=1),
            Unit(name="kbit/s", worth=1e3),
            Unit(name="mbit/s", worth=1e6),
            Unit(name="gbit/s", worth=1e9),
        ),
        "bytes": (
            Unit(name="bytes", worth=1),
            Unit(name="KB", worth=1e3),
            Unit(name="MB", worth=1e6),
            Unit(name="GB", worth=1e9),
        ),
        "ratio": (PERCENT,),
        "percent": (Unit(name="%", worth=1),),
        "count": (COUNT,),
    }
)


def display_unit(unit: str, most: float) -> Unit:
    """The unit to show values of a metric's unit in (`testbed.metrics`), of which `most` is the greatest.

    Durations up to 2 of a unit are shown in the next finer one: 1.5 s as 1500 ms.
    """
    candidates = _UNITS.get(unit, (COUNT,))
    bound = abs(most) / 2 if unit == "ns" else abs(most)
    return [candidates[0], *(candidate for candidate in candidates if candidate.worth <= bound)][-1]
