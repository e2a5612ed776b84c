"""The registry of the kinds of workload: one line per built-in kind, one entry point per kind of another package.

A kind is a package; the built-in ones are in `testbed.workloads.kinds`. Its `__init__` declares it: `KIND = Kind(...)`,
and imports nothing heavy. Its parts are modules of the package, each imported when it is needed:

| module | contents |
|---|---|
| `keys` | the model of its keys in a file, a subclass of `testbed.topology.workloads.WorkloadKeys` or `Work` |
| `summary` | the class that makes the summary of a record, a subclass of `testbed.workloads.summarisers.Base` |
| `traffic` | `client(spec, owner)`, `server(spec, owner)`, `prepare(spec)`: the work of its endpoint processes |
| `program` | instead of `traffic`: `Client`, `Server`, each a `testbed.workloads.programs.OutputReader` of a program |

`testbed.topology.workloads` imports the `keys` of all kinds: import it before a `keys` module of your own.

The client runs in the workload's source, the server in its destination, unless the destination runs a server of its
own. Both report with `owner.emit`, see `testbed.endpoint`, and finish with an `end`. The optional `prepare` computes or
loads what takes time; it is called before the start of the workload and sends no packet. Sockets are of the family
`spec.family` and lead to `spec.destination`: a workload runs over IPv4 or IPv6, as the file says.

Another package adds a kind with an entry point of the group `testbed.workloads`, whose name is that of the kind and
whose value is the `Kind`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from testbed.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from testbed.parameters import Parameters

GROUP = "testbed.workloads"

OWN = (
    "tcp-stream",
    "tcp-rr",
    "tcp-messages",
    "udp-stream",
    "udp-rr",
    "dns",
    "ping",
    "http",
    "quic",
    "iperf3",
    "command",
)
"""The built-in kinds; the package of `tcp-rr` is `testbed.workloads.kinds.tcp_rr`."""

REPORTED = "data."
"""The prefix of the names of numbers that a program reports (`Kind.reports_numbers`): `data.rtt_ms`."""

_SUFFIXES: Mapping[str, str] = MappingProxyType({"ns": "_ns", "bit/s": "_bps", "ratio": "_ratio"})
"""The suffixes of names by unit, which labels lack; `_bytes` stays: delivered bytes are not delivered messages."""


AGGREGATES = ("min", "median", "mean", "max", "sum")
"""Aggregates of a metric; a metric has those that mean something for it."""


class Metric(NamedTuple):
    """One metric of workloads.

    Attributes:
        name: the name, with the unit if there is one.
        unit: `ns`, `bytes`, `bit/s`, the counted thing, `ratio` (from 0 to 1) or `name` (text).
        description: one sentence, with the RFC that defines the metric.
        kinds: the kinds of workload that have the metric; the registry fills this in.
        adds_up: whether the sum of several workloads' values means something; None: it does unless they are times,
            ratios or text.
    """

    name: str
    unit: str
    description: str
    kinds: tuple[str, ...] = ()
    adds_up: bool | None = None

    @property
    def aggregates(self) -> tuple[str, ...]:
        """What can be said of the values of all workloads that the members of a group of nodes run, of `AGGREGATES`."""
        if self.unit == "name":
            return ()
        has_sum = self.unit not in ("ns", "ratio") if self.adds_up is None else self.adds_up
        return AGGREGATES if has_sum else tuple(how for how in AGGREGATES if how != "sum")

    @property
    def label(self) -> str:
        """The name in files and output: without the unit, with a statistic after a dot: `goodput`, `latency.p99`."""
        if self.name.startswith(REPORTED):
            return self.name
        name, dot, aggregate = self.name.partition(".")
        bare = name.removesuffix(_SUFFIXES.get(self.unit, ""))
        return re.sub(r"_(min|max|mean|p[0-9]+)$", r".\1", bare) + dot + aggregate


class Kind(NamedTuple):
    """The declaration of a kind of workload.

    Attributes:
        name: the name in files.
        package: the Python package whose modules are the kind's parts.
        keys: the name of the class in `keys`.
        summary: the name of the class in `summary`.
        metrics: the names of metrics in `testbed.metrics`, or new metrics.
        parameters: the parameters of an endpoint, by their names in a plan; empty if a program does the work.
        one_of: the parameters of which exactly one must be given.
        by_endpoint: whether endpoints of the testbed do the work (`traffic`), not programs in the nodes (`program`).
        has_server: whether the testbed starts a server in the destination, before the client.
        protocols: the names of the protocols that its packets are of, such as `udp`; empty if they are not known. Over
            IPv6, `icmp` stands for `icmpv6`.
        connectionless: whether no connection is set up, whatever the parameters are.
        reports_numbers: whether numbers that its program writes are metrics; their names are known only after a run.
    """

    name: str
    package: str
    keys: str
    summary: str
    metrics: tuple[str | Metric, ...]
    parameters: Parameters = MappingProxyType({})
    one_of: frozenset[str] = frozenset()
    by_endpoint: bool = True
    has_server: bool = True
    protocols: tuple[str, ...] = ()
    connectionless: bool = False
    reports_numbers: bool = False

    def part(self, name: str) -> ModuleType:
        """Import and return the module of that name in the kind's package."""
        return import_module(f"{self.package}.{name}")

    @property
    def keys_model(self) -> Any:  # noqa: ANN401 (a pydantic model; this module does not import pydantic)
        """The model of the keys in the file."""
        return getattr(self.part("keys"), self.keys)

    @property
    def summariser(self) -> Any:  # noqa: ANN401 (a class of `testbed.workloads`, which this module does not import)
        """The class that makes the summary."""
        return getattr(self.part("summary"), self.summary)


@cache
def kinds() -> Mapping[str, Kind]:
    """Return all kinds by name, including those of other packages.

    Raises:
        MachineError: `broken-plugin`, with the name of the package: a kind can't be loaded, or its name is taken.
    """
    return MappingProxyType({**{name: _own(name) for name in OWN}, **_others()})


def find(name: str) -> Kind | None:
    """Return the kind of that name, or None; search other packages only if the kind is not built in.

    Raises:
        MachineError: `broken-plugin`, see `kinds`.
    """
    return _own(name) if name in OWN else _others().get(name)


@cache
def _own(name: str) -> Kind:
    kind: Kind = import_module(f"testbed.workloads.kinds.{name.replace('-', '_')}").KIND
    return kind


@cache
def _others() -> Mapping[str, Kind]:
    from importlib.metadata import entry_points  # noqa: PLC0415 (slow; endpoints of built-in kinds never need it)

    others: dict[str, Kind] = {}
    for entry in entry_points(group=GROUP):
        package = entry.dist.name if entry.dist else entry.value
        adds, hint = f"{package} adds a kind {entry.name!r}", f"mend or uninstall {package}"
        if entry.name in OWN or entry.name in others:
            raise MachineError("broken-plugin", f"{adds} that is there already", hint)
        try:
            kind = entry.load()
        except (ImportError, AttributeError) as error:
            raise MachineError("broken-plugin", f"{adds} that can't be loaded: {error}", hint) from error
        if not isinstance(kind, Kind) or kind.name != entry.name:
            raise MachineError("broken-plugin", f"{adds} whose entry point is {kind!r}, no Kind of that name", hint)
        others[entry.name] = kind
    return others
