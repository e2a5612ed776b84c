"""The summary of a workload: its metrics, and the reasons of missing ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.html_tables import html_table
from testbed.metrics import METRICS, find, metric_of
from testbed.quantities import UNMEASURED, metric_text

Value = int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The summary of one workload.

    Attributes:
        workload: the name of the workload.
        kind: the kind of the workload.
        values: the metrics of that kind by name; None for a metric that could not be measured. A metric that the
            workload can't have, such as retransmits of UDP, is left out.
        missing: the reason for each metric that is None or left out.
    """

    workload: str
    kind: str
    values: Mapping[str, Value | None]
    missing: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check that metrics of unit `name` are text and all others are numbers.

        Raises:
            ValueError: a value has the wrong type.
        """
        for name, value in self.values.items():
            metric = METRICS.get(name)
            if metric and value is not None and isinstance(value, str) != (metric.unit == "name"):
                raise ValueError(f"{name} is {value!r}, {'a number' if metric.unit == 'name' else 'text'}")

    def value(self, name: str) -> Value | None:
        """Return a metric by its label, `latency.p50`, or by its name in `values`, `latency_p50_ns`.

        The value is in the metric's unit, which `testbed metrics` shows: nanoseconds, bit/s, bytes, or a ratio from 0
        to 1. It is None if it could not be measured.

        Raises:
            KeyError: the workload has no such metric.
        """
        if name in self.values:
            return self.values[name]
        metric = find(name, self.kind)
        if metric is None and name in self.labels:  # of all members of a group
            return self.values[[*self.values][self.labels.index(name)]]
        if metric is None:
            raise KeyError(f"{self.workload} has no {name}; it has {', '.join(self.labels)}")
        if metric.name not in self.values:
            if several := [label for label in self.labels if label.startswith(f"{metric.label}.")]:
                raise KeyError(f"{self.workload} is of all members of a group; it has {', '.join(several)}")
            raise KeyError(f"{self.workload} has no {name}: {self.missing.get(metric.name, 'it was not reported')}")
        return self.values[metric.name]

    def __getitem__(self, name: str) -> Value | None:
        """Return a metric by its label or name: `summary["latency.p50"]`; see `value`."""
        return self.value(name)

    def __getattr__(self, name: str) -> Value | None:
        """Return a metric whose label has no dot, or by its name: `summary.goodput`, `summary.latency_p50_ns`."""
        if name.startswith("_") or name in self.__slots__:  # as copying asks for
            raise AttributeError(name)
        try:
            return self.value(name)
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __repr__(self) -> str:
        figures = ", ".join(f"{label} {self.shown(label)}" for label in self.labels)
        return f"<summary {self.workload} ({self.kind}): {figures}>"

    def _repr_html_(self) -> str:
        """The metrics as a table, for a notebook."""
        rows = [(label, self.shown(label)) for label in self.labels]
        return html_table(f"{self.workload} ({self.kind})", ("metric", "value"), rows)

    def shown(self, name: str) -> str:
        """Return a metric as text for people: `40.2 ms`; a question mark if it could not be measured; see `value`.

        Raises:
            KeyError: the workload has no such metric.
        """
        value = self.value(name)
        metric = find(name, self.kind) or metric_of(dict(zip(self.labels, self.values, strict=True)).get(name, name))
        return UNMEASURED if value is None else value if isinstance(value, str) else metric_text(value, metric.unit)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the metrics, which are their names in files."""
        return tuple(metric_of(name).label for name in self.values)

    def number(self, name: str) -> int | float | None:
        """Return a metric that is a number, see `value`; raise TypeError if it is text."""
        value = self.value(name)
        if isinstance(value, str):
            raise TypeError(f"{name} is text, {value!r}")
        return value

    def text(self, name: str) -> str | None:
        """Return a metric that is text, see `value`; raise TypeError if it is a number."""
        value = self.value(name)
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} is a number, {value!r}")
        return value


class Figures:
    """Collects the values of a summary."""

    def __init__(self) -> None:
        self.values: dict[str, Value | None] = {}
        self.missing: dict[str, str] = {}

    def put(self, name: str, value: Value | None, *, unless: str = "") -> None:
        """Set a metric; `unless` is the reason if the value is None."""
        self.values[name] = value
        if value is None:
            self.missing[name] = unless

    def leave_out(self, *names: str, why: str) -> None:
        """Leave out metrics that this workload can't have, and record the reason."""
        for name in names:
            self.values.pop(name, None)
            self.missing[name] = why

    def summary(self, workload: str, kind: str) -> Summary:
        """Return the summary of the values set so far."""
        return Summary(workload=workload, kind=kind, values=self.values, missing=self.missing)
