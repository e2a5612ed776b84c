"""The TCP connections of a node's own processes, as its kernel reported them during a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from testbed.analysis.samples.series import TIME_COLUMN, Series
from testbed.records import RecordError, parse_table
from testbed.report.charts import Figure, Panel
from testbed.report.marks import STYLES
from testbed.report.senders import column_axis
from testbed.report.stage import ReportStage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.plan.model import Plan
    from testbed.runs.connections import Connections
    from testbed.runs.run import Run

_COLUMNS = ("rtt_ns", "cwnd", "delivery_rate", "send_queue_bytes", "receive_queue_bytes")
_MOST = STYLES


def connections(run: Run) -> Iterator[Figure | str]:
    """Yield a figure of each node whose connections were sampled, or why there is none."""
    for sampled in run.sockets:
        try:
            series, span = _read(run.path / sampled.file, run.plan)
        except (OSError, RecordError, ValueError, KeyError) as error:
            yield f"The connections of {sampled.node} can't be shown: {error}"
            continue
        if series:
            yield _figure(run, sampled, series, span)
        else:
            yield f"{sampled.node} had no TCP connection in {sampled.samples} samples."


def _read(path: Path, plan: Plan) -> tuple[dict[str, Series], tuple[int, int]]:
    """Return the connections with most samples, by name, and the times of the first and last sample."""
    seen: Counter[str] = Counter()
    with path.open(encoding="utf-8") as lines:
        for table in map(parse_table, lines):
            seen[table.values["connection"]] += len(table.columns[TIME_COLUMN])
    by_connection: dict[str, Series] = {}
    processes: dict[str, str] = {}
    times: list[int] = []
    chosen = {name for name, _ in seen.most_common(_MOST)}
    with path.open(encoding="utf-8") as lines:
        for table in map(parse_table, lines):
            name = table.values["connection"]
            if name in chosen:
                at = table.columns[TIME_COLUMN]
                times = [min([at[0], *times]), max([at[-1], *times])]
                by_connection.setdefault(name, Series(table.event, table.node)).add(table)
                processes[name] = table.values["process"] or processes.get(name, "unknown")
    named = {f"{processes[name]}, {_named(name, plan)}": series for name, series in by_connection.items()}
    return named, (times[0], times[1]) if times else (0, 0)


def _named(connection: str, plan: Plan) -> str:
    """Return a connection with names of nodes: `server:80 to client:40000`."""
    nodes = plan.names_by_address
    ends = (end.rpartition(":") for end in connection.split(" "))
    return " to ".join(f"{nodes.get(address, address)}:{port}" for address, _, port in ends)


def _figure(run: Run, sampled: Connections, series: dict[str, Series], span: tuple[int, int]) -> Figure:
    first, last = span
    stage = ReportStage(
        plan=run.plan,
        groups=(),
        origin_ns=first,
        length_ns=max(1, last - first),
        timeline=run.timeline,
        clock="time since the first of them was seen, s",
        key=f"sockets-{sampled.node}",
    )
    styles = {name: number for number, name in enumerate(series)}
    panels: list[Panel] = []
    for column in _COLUMNS:
        bins = {label: found for label, one in series.items() if (found := one.telling(column).get(column))}
        if bins:
            most = max(one.high for found in bins.values() for one in found)
            axis, label = column_axis("tcp-info", column, most)
            marks = [stage.curve(found, styles[name], name=name) for name, found in bins.items()]
            panels.append(Panel(label=label, y=axis, marks=marks, height=100))
    left_out = sampled.connections - len(series)
    note = f"Those of {sampled.connections} that were seen most often." if left_out > 0 else ""
    return stage.figure(f"TCP connections of {sampled.node}", panels, note=note)
