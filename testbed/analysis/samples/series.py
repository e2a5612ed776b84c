"""Columns of values over time, each in bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.analysis.samples.bins import LIMIT, Bins
from testbed.analysis.samples.messages import FINEST_NS
from testbed.analysis.samples.quantities import ColumnQuantity, quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.records import Table

TIME_COLUMN = "at_ns"
_TIMES = ("start", "end", "seconds", "time", "timestamp")
_SECOND = 1_000_000_000


class Series:
    """The columns of one event from one node over time.

    Attributes:
        event, node: of the lines.
        columns: by name, over time in ns; totals as growth per time, in the unit of the quantity.
        retransmits: the number of new retransmissions over time, not per second.
    """

    def __init__(self, event: str, node: str, limit: int = LIMIT) -> None:
        self.event, self.node = event, node
        self._limit = limit
        self.columns: dict[str, Bins] = {}
        self.retransmits = Bins(FINEST_NS, limit)
        self._before: dict[str, tuple[int, float]] = {}

    def add(self, table: Table) -> None:
        """Add a line with a column of times.

        Raises:
            ValueError: the columns differ in length.
        """
        at = table.columns[TIME_COLUMN]
        for name, values in table.columns.items():
            if len(values) != len(at):
                raise ValueError(f"{len(values)} values of {name} for {len(at)} times")
            if name != TIME_COLUMN:
                self._extend(name, at, values)

    def add_sample(self, at_ns: int, figures: Mapping[str, Any]) -> None:
        """Add values of one time, by name; values that are not numbers, or are times, are ignored."""
        for name, value in figures.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and name not in _TIMES:
                self._extend(name, (at_ns,), (value,))

    def _extend(self, name: str, at: Sequence[int], values: Sequence[float]) -> None:
        what = self.quantity(name)
        bins = self.columns.setdefault(name, Bins(FINEST_NS, self._limit))
        if what.total:
            for at_ns, growth, per_ns in self._growth(name, at, values):
                if name == "retransmits" and growth:
                    self.retransmits.add(at_ns, growth)
                bins.add(at_ns, growth * what.factor * (1 if name.endswith("_ns") else _SECOND) / per_ns)
            return
        for at_ns, value in zip(at, values, strict=True):
            if value < what.below:
                bins.add(at_ns, value * what.factor)

    def _growth(self, name: str, at: Sequence[int], values: Sequence[float]) -> Iterator[tuple[int, float, int]]:
        """Yield the growth of a total up to each time, and the ns since the time before; the first value has none."""
        for at_ns, value in zip(at, values, strict=True):
            before_ns, before = self._before.get(name, (at_ns, value))
            if at_ns > before_ns:
                yield at_ns, max(0, value - before), at_ns - before_ns
            self._before[name] = at_ns, value

    def quantity(self, name: str) -> ColumnQuantity:
        """Return the quantity in a column."""
        return quantity(self.event, name)

    def telling(self, *names: str) -> dict[str, Bins]:
        """Return those of the named columns that exist and are not always zero."""
        columns = {name: self.columns[name] for name in names if name in self.columns}
        return {name: bins for name, bins in columns.items() if any(item.high or item.low for item in bins)}
