"""The levels of a factor as numbers on an axis, if they are quantities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

WIDE = 8
"""From which ratio of the greatest to the least an axis is logarithmic."""

_READERS: Mapping[str, Callable[[str], float]] = {
    "count": float,
    "ratio": lambda text: units.PROBABILITY.parse(text) / units.CERTAIN,
    "ns": units.DURATION.parse,
    "bit/s": units.RATE.parse,
    "bytes": units.SIZE.parse,
}
"""By the unit, as of metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisScale:
    """Levels that are quantities of one kind.

    Attributes:
        unit: `count`, `ratio`, `ns`, `bit/s` or `bytes`.
        values: in that unit, by what is written.
    """

    unit: str
    values: Mapping[str, float]


def scale(levels: Sequence[str]) -> AxisScale | None:
    """Return the scale of all levels; None if they are not quantities of one kind."""
    for unit, read in _READERS.items():
        try:
            return AxisScale(unit=unit, values={level: float(read(level)) for level in levels})
        except ValueError:
            continue
    return None


def is_wide(values: Iterable[float]) -> bool:
    """Whether values need a logarithmic axis: all are positive, and the greatest is far from the least."""
    found = [*values]
    return bool(found) and min(found) > 0 and max(found) >= WIDE * min(found)
