"""The summary of a command."""

from __future__ import annotations

import re
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from testbed.kinds import REPORTED
from testbed.records import Output, Sample
from testbed.workloads.summarisers.base import Base
from testbed.workloads.summary import Figures, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.plan.workloads import Workload
    from testbed.records import RecordEvent


_MOST_NAMES = 100
"""The most numbers that become metrics; further ones are only in the samples."""


class CommandSummariser(Base):
    """Makes the summary of command workloads."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self._samples = self._lines = 0
        self._reported: dict[str, _Number] = {}

    def add(self, event: RecordEvent) -> None:
        """Add the next event of the record."""
        super().add(event)
        if isinstance(event, Output):
            self._lines += 1
        elif isinstance(event, Sample):
            self._samples += 1
            for name, value in flat(event.data):
                if name in self._reported or len(self._reported) < _MOST_NAMES:
                    self._reported.setdefault(name, _Number()).add(value)

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        figures = Figures()
        figures.put("duration_ns", self.client["duration_ns"])
        figures.put("samples", self._samples)
        figures.put("lines", self._lines)
        for name, number in self._reported.items():
            figures.put(f"{REPORTED}{name}", number.last)
            for statistic in ("min", "mean", "max"):
                if f"{name}.{statistic}" not in self._reported:
                    figures.put(f"{REPORTED}{name}.{statistic}", getattr(number, statistic))
        return self.summary(figures)


class _Number:
    """The last, least, greatest and mean value of a reported number."""

    def __init__(self) -> None:
        self.last: float = 0
        self.min, self.max = inf, -inf
        self._sum: float = 0
        self._count = 0

    def add(self, value: float) -> None:
        self.last = value
        self.min, self.max = min(self.min, value), max(self.max, value)
        self._sum += value
        self._count += 1

    @property
    def mean(self) -> float:
        return self._sum / self._count


def flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the finite numbers in a JSON object with their names, `end.sum.bytes`; `_` replaces invalid characters."""
    for key, value in data.items():
        name = prefix + re.sub(r"\W", "_", key, flags=re.ASCII)
        if isinstance(value, dict):
            yield from flat(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            yield name, value
