"""The texts of a view of a lab: the same for the terminal, the page and the stream of events."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from testbed.analysis import formatting
from testbed.cli.sparklines import LENGTH, sparkline

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from testbed.lab import LabEvent, LinkState, NodeState, Snapshot
    from testbed.matching import LinkKey

_HISTORY = 60
"""Rates of a link that are kept: those of a minute."""

_EVENTS = 200
"""Events that a view keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRow:
    """A link as a view shows it; texts, `-` where there is nothing to say.

    Attributes:
        name, requested, rate, drops, queued, late: see the columns of `testbed watch`.
        arriving, dropping: what reaches the link, and how many packets per second it drops.
        ends, network, engine: of the link.
        rates_bps: the latest rates, the newest last; None where it is not known.
    """

    name: str
    ends: tuple[str, ...]
    network: str
    requested: str
    rate: str
    drops: str
    arriving: str
    dropping: str
    queued: str
    late: str
    engine: str
    rates_bps: tuple[float | None, ...]

    def sparkline(self, length: int) -> str:
        """Return the latest rates as a sparkline."""
        return sparkline(self.rates_bps[-length:])


class History:
    """The latest rates of each link."""

    def __init__(self) -> None:
        self._rates: dict[LinkKey, deque[float | None]] = {}

    def rows(self, snapshot: Snapshot) -> dict[LinkKey, LinkRow]:
        """Take a snapshot in, and return a row for each of its links."""
        self._rates = {link.key: self._rates.get(link.key, deque(maxlen=_HISTORY)) for link in snapshot.links}
        for link in snapshot.links:
            self._rates[link.key].append(link.out_bps)
        return {link.key: _row(link, tuple(self._rates[link.key])) for link in snapshot.links}


def _row(link: LinkState, rates_bps: tuple[float | None, ...]) -> LinkRow:
    counts = link.counts
    late_ns = counts.lateness_p99_ns
    if counts.queued_bytes is not None:
        queued = formatting.size(counts.queued_bytes)
    else:
        queued = formatting.NOT_APPLICABLE if counts.in_flight is None else f"{counts.in_flight} pkt"
    return LinkRow(
        name=link.name,
        ends=link.key.nodes,
        network=link.key.network,
        requested=link.impairments.describe(),
        rate=formatting.UNMEASURED if link.out_bps is None else formatting.rate(link.out_bps),
        drops=str(link.drops),
        arriving=formatting.UNMEASURED if link.in_bps is None else formatting.rate(link.in_bps),
        dropping=formatting.UNMEASURED if link.dropped_per_s is None else f"{link.dropped_per_s:.0f}/s",
        queued=queued,
        late=formatting.NOT_APPLICABLE if late_ns is None else formatting.duration(late_ns),
        engine=link.engine,
        rates_bps=rates_bps,
    )


class Activity:
    """What has happened lately, and the workloads that run now.

    Attributes:
        latest: events, the newest last.
    """

    def __init__(self) -> None:
        self.latest: deque[LabEvent] = deque(maxlen=_EVENTS)
        self._workloads: list[str] = []

    def note(self, event: LabEvent) -> None:
        """Take an event in."""
        self.latest.append(event)
        match event.kind:
            case "workload-begun":
                self._workloads.append(event.what)
            case "workload-ended":
                self._workloads = [what for what in self._workloads if not event.what.startswith(what)]
            case "run-begun" | "run-ended":
                self._workloads = []

    def flows(self, rows: Iterable[LinkRow], length: int) -> list[str]:
        """Return a line for each workload that runs: with the rate of the link between its ends, where there is one."""
        by_name = {row.name: row for row in rows}
        found = []
        for what in self._workloads:
            row = by_name.get(what.rpartition(": ")[2])
            found.append(f"{what}  {row.rate} {row.sparkline(length)}" if row else what)
        return found


def selected(snapshot: Snapshot, part: str) -> tuple[list[NodeState], list[LinkState]]:
    """Return nodes and links with a text in their name, state, network or impairments; and the ends of such links."""
    links = [link for link in snapshot.links if part in f"{link.name} {link.key.network} {link.impairments.describe()}"]
    ends = {end for link in links for end in link.key.nodes}
    return [node for node in snapshot.nodes if node.name in ends or part in f"{node.name} {node.state}"], links


def nodes_line(snapshot: Snapshot) -> str:
    """Return how many nodes are in which state: `3 running, 1 paused`."""
    return counted(node.state for node in snapshot.nodes)


def counted(words: Iterable[str]) -> str:
    """Return how often each word comes, the most frequent first."""
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items(), key=lambda item: -item[1]))


def clock(event: LabEvent) -> str:
    """Return the time of day of an event, local time, to the millisecond."""
    return f"{datetime.fromtimestamp(event.unix_ns / 1e9).astimezone():%H:%M:%S.%f}"[:-3]


def event_object(event: LabEvent) -> dict[str, object]:
    """Return an event for scripts: times are UTC (ISO 8601), keys without a value are left out."""
    found: dict[str, object] = {
        "number": event.number,
        "time": _iso(event.unix_ns),
        "kind": event.kind,
        "what": event.what,
    }
    if event.begun_ns is not None:
        found["begun"] = _iso(event.unix_ns - (event.at_ns - event.begun_ns))
    if event.node:
        found["node"] = event.node
    if event.links:
        found["links"] = list(event.links)
    return found


def _iso(unix_ns: int) -> str:
    return f"{datetime.fromtimestamp(unix_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{unix_ns % 10**9 // 1000:06}Z"


def view_object(snapshot: Snapshot, rows: Collection[LinkRow], activity: Activity) -> object:
    """Return a whole view for a page, ready for JSON."""
    return {
        "lab": snapshot.lab,
        "summary": nodes_line(snapshot),
        "problems": list(snapshot.problems),
        "nodes": [asdict(node) for node in snapshot.nodes],
        "links": [
            {
                "name": row.name,
                "network": row.network,
                "ends": row.ends,
                "requested": row.requested,
                "rate": row.rate,
                "drops": f"{row.drops} ({row.dropping})",
                "queued": row.queued,
                "late": row.late,
                "course": row.sparkline(LENGTH),
            }
            for row in rows
        ],
        "flows": activity.flows(rows, LENGTH),
        "events": [{"time": clock(event), "kind": event.kind, "what": event.what} for event in activity.latest],
    }
