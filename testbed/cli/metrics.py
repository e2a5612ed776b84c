"""`testbed metrics`: the metrics of workloads."""

from __future__ import annotations

import click
from rich.table import Table

from testbed.cli import json_output
from testbed.cli.console import make_console
from testbed.metrics import METRICS, Metric

KINDS = tuple(dict.fromkeys(kind for metric in METRICS.values() for kind in metric.kinds))

_WRITTEN = {"ns": "duration", "bit/s": "rate", "bytes": "size", "ratio": "%", "name": "text"}


@click.command("metrics")
@click.argument("kind", metavar="[KIND]", type=click.Choice(KINDS), required=False)
@json_output.as_json
def metrics_command(kind: str | None, *, as_json: bool) -> None:
    """List the metrics of all kinds of workload, or of one KIND.

    The names are those of `expect` in a topology file: download.goodput >= 5 mbit
    """
    shown = [metric for metric in METRICS.values() if kind is None or kind in metric.kinds]
    if as_json:
        json_output.show([_as_json(metric) for metric in shown])
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("metric", "unit", *([] if kind else ["kinds"]), "meaning"):
        table.add_column(column, overflow="fold", no_wrap=column in ("metric", "unit"))
    for metric in shown:
        kinds = [] if kind else [", ".join(metric.kinds)]
        table.add_row(metric.label, _WRITTEN.get(metric.unit, metric.unit), *kinds, metric.description)
    make_console().print(table)


def _as_json(metric: Metric) -> dict[str, object]:
    keys = {name: value for name, value in metric._asdict().items() if name != "adds_up"}
    return {"label": metric.label, **keys, "aggregates": metric.aggregates}
