"""The registry of the kinds of workload: one line for each of ours, one entry point for each of another package's.

A kind is a package (ours lie in `testbed.workloads.kinds`). Its `__init__` declares it: `KIND = Kind(...)`. That is all
that is imported to learn about a kind. Its parts are modules of the package, each imported when it is needed:

| module | has |
|---|---|
| `keys` | the model of its keys in a file, a subclass of `testbed.topology.workloads.Workload` or `Work` |
| `summary` | the class that makes the summary of a record, a subclass of `testbed.workloads.summarisers.Base` |
| `traffic` | `client(spec, owner)`, `server(spec, owner)`, `prepare(spec)`: what its endpoint processes do |
| `program` | instead of `traffic`: `Client`, `Server`, each a `testbed.workloads.programs.Reader` of a node's program |

`testbed.topology` imports the `keys` of all kinds, so import it before a `keys` module of your own.

The client is in the workload's source, the server in its destination; where nothing of ours runs there is no server.
Both report by `owner.emit`, see `testbed.endpoint`, and finish with an `end`. `prepare`, if there is one, computes or
loads what takes time; it is called before the start of the workload and sends no packet.

Another package adds a kind by an entry point of the group `testbed.workloads`: its name is the kind's, its value the
`Kind`.
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
"""The testbed's own kinds; the package of `tcp-rr` is `testbed.workloads.kinds.tcp_rr`."""

REPORTED = "data."
"""How the names of numbers begin that a program itself reports (`Kind.reports_numbers`): `data.rtt_ms`."""

_SUFFIXES: Mapping[str, str] = MappingProxyType({"ns": "_ns", "bit/s": "_bps", "ratio": "_ratio"})
"""What a name says of its unit; `_bytes` stays in labels, for bytes delivered are not messages delivered."""


class Metric(NamedTuple):
    """One metric of workloads.

    Attributes:
        name: with its unit where it has one.
        unit: `ns`, `bytes`, `bit/s`, a thing that is counted, `ratio` (from 0 to 1) or `name` (text).
        description: one sentence, with the RFC that defines it.
        kinds: the kinds of workload that have it; the registry fills this in.
    """

    name: str
    unit: str
    description: str
    kinds: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name that people write: without its unit, a statistic after a dot: `goodput`, `latency.p99`."""
        if self.name.startswith(REPORTED):
            return self.name
        bare = self.name.removesuffix(_SUFFIXES.get(self.unit, ""))
        return re.sub(r"_(min|max|mean|p[0-9]+)$", r".\1", bare)


class Kind(NamedTuple):
    """The declaration of a kind of workload.

    Attributes:
        name: in the file.
        package: the Python package whose modules are the kind's parts.
        keys: the class in `keys`.
        summary: the class in `summary`.
        metrics: what is measured: names of metrics in `testbed.metrics`, or new ones.
        parameters: what an endpoint accepts, by the names that a plan has; none where a program does the work.
        one_of: of these parameters exactly one has to be there.
        by_endpoint: endpoints of the testbed do the work (`traffic`); else programs of the nodes' own (`program`).
        has_server: something of ours runs in the destination, and starts first.
        connectionless: no connection is set up, whatever the parameters are.
        reports_numbers: numbers that its program writes are metrics, under names that only a run tells.
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
    connectionless: bool = False
    reports_numbers: bool = False

    def part(self, name: str) -> ModuleType:
        """The module of the kind's package with that name, imported now."""
        return import_module(f"{self.package}.{name}")

    @property
    def keys_model(self) -> Any:  # noqa: ANN401 (a model of pydantic's, which is not to be imported here)
        """The model of the file's keys."""
        return getattr(self.part("keys"), self.keys)

    @property
    def summariser(self) -> Any:  # noqa: ANN401 (a class of `testbed.workloads`, which is not to be imported here)
        """The class that makes the summary."""
        return getattr(self.part("summary"), self.summary)


@cache
def kinds() -> Mapping[str, Kind]:
    """Every kind by its name, those of other packages too.

    Raises:
        MachineError: `broken-plugin`, with the package that declares it: a kind can't be loaded, or its name is taken.
    """
    return MappingProxyType({**{name: _own(name) for name in OWN}, **_others()})


def find(name: str) -> Kind | None:
    """The kind of that name; None where there is no such. Other packages are looked for only if it is not ours.

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
    from importlib.metadata import entry_points  # noqa: PLC0415 (takes its time; endpoints of our kinds never ask)

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
