"""What is said about a workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.metrics import METRICS, find, metric_of

Value = int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is said about one workload.

    Attributes:
        workload: its name.
        kind: its kind.
        values: the metrics of that kind by name; None where it could not be had; left out where this workload can
            have none, as retransmits of UDP.
        missing: for each None, and each that is left out, why.
    """

    workload: str
    kind: str
    values: Mapping[str, Value | None]
    missing: Mapping[str, str]

    def __post_init__(self) -> None:
        """Refuse text where a metric is a number, and numbers where it is text.

        Raises:
            ValueError: there is such a value.
        """
        for name, value in self.values.items():
            metric = METRICS.get(name)
            if metric and value is not None and isinstance(value, str) != (metric.unit == "name"):
                raise ValueError(f"{name} is {value!r}, {'a number' if metric.unit == 'name' else 'text'}")

    def value(self, name: str) -> Value | None:
        """A metric by the name that files have for it, `latency.p50`, or by that of `values`, `latency_p50_ns`.

        It is in the metric's unit, which `testbed metrics` tells: nanoseconds, bit/s, bytes, or a ratio from 0 to 1;
        None where it could not be had.

        Raises:
            KeyError: the workload can have no such metric.
        """
        if name in self.values:
            return self.values[name]
        metric = find(name, self.kind)
        if metric is None:
            raise KeyError(f"{self.workload} has no {name}; it has {', '.join(self.labels)}")
        if metric.name not in self.values:
            raise KeyError(f"{self.workload} has no {name}: {self.missing.get(metric.name, 'it was not reported')}")
        return self.values[metric.name]

    @property
    def labels(self) -> tuple[str, ...]:
        """The metrics by the names that files have for them."""
        return tuple(metric_of(name).label for name in self.values)

    def number(self, name: str) -> int | float | None:
        """A metric that is a number, see `value`; TypeError where it is text."""
        value = self.value(name)
        if isinstance(value, str):
            raise TypeError(f"{name} is text, {value!r}")
        return value

    def text(self, name: str) -> str | None:
        """A metric that is text, see `value`; TypeError where it is a number."""
        value = self.value(name)
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} is a number, {value!r}")
        return value


class Figures:
    """The values of a summary while it is made."""

    def __init__(self) -> None:
        self.values: dict[str, Value | None] = {}
        self.missing: dict[str, str] = {}

    def put(self, name: str, value: Value | None, *, unless: str = "") -> None:
        """Set a metric; `unless` says why it is None if it is."""
        self.values[name] = value
        if value is None:
            self.missing[name] = unless

    def leave_out(self, *names: str, why: str) -> None:
        """Say why this workload can have no such metrics, though others of its kind have."""
        for name in names:
            self.values.pop(name, None)
            self.missing[name] = why

    def summary(self, workload: str, kind: str) -> Summary:
        """The whole of it."""
        return Summary(workload=workload, kind=kind, values=self.values, missing=self.missing)
