"""What a run depends on, and all of its figures: for those who want to know exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import codec
from testbed.metrics import METRICS
from testbed.results import rows
from testbed.results.report.blocks import Cell, folded, pairs, table
from testbed.results.report.markup import Element, element

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.results.run import Run
    from testbed.workloads.summary import Summary

_ABREAST = 5


def facts(run: Run) -> Iterator[Element]:
    """Tables, folded."""
    plan = run.plan
    engines: dict[str, list[str]] = {}
    for each in run.engines:
        engines.setdefault(f"{each.engine}: {each.why}", []).append(f"{each.source} -> {each.destination}")
    facts: dict[str, object] = {f"engine {name}": ", ".join(links) for name, links in engines.items()}
    facts |= {f"version of {name}": value for name, value in run.versions.items()}
    yield folded("Engine and versions", pairs(facts))
    yield folded(
        "Machine", pairs({name.replace("_", " "): _plain(value) for name, value in codec.encode(run.host).items()})
    )
    seeds: dict[str, object] = {"plan digest (SHA-256)": plan.digest}
    seeds["seed"] = f"{plan.seed}{'' if plan.seed_given else ', of the name'}"
    seeds |= {f"seed of {link.name} on {link.network}": link.seed for link in plan.links}
    seeds |= {f"seed of {workload.name}": workload.seed for workload in plan.workloads}
    yield folded("Plan and seeds", pairs(seeds))
    if run.summaries:
        parts = [run.summaries[at : at + _ABREAST] for at in range(0, len(run.summaries), _ABREAST)]
        yield folded("All figures", *(block for part in parts for block in _figures(part)), _meanings(run.summaries))


def _figures(summaries: Sequence[Summary]) -> Iterator[Element]:
    """Every metric of a few workloads side by side, in full, and why some are missing."""
    names = dict.fromkeys(name for summary in summaries for name in summary.values)
    lines: list[list[Cell]] = []
    for name in names:
        metric = METRICS.get(name)
        unit = metric.unit if metric else ""
        cells = (element("td", _value(each, name, unit), class_="figure") for each in summaries)
        lines.append([metric.label if metric else name, *cells])
    yield table(["figure", *(each.workload for each in summaries)], lines, figures=len(summaries))
    for each in summaries:
        for name, why in each.missing.items():
            called = METRICS[name].label if name in METRICS else name
            yield element("p", f"No {each.workload}.{called}: {why}.", class_="soft")


def _meanings(summaries: Sequence[Summary]) -> Element:
    names = dict.fromkeys(name for summary in summaries for name in summary.values)
    known = (METRICS[name] for name in names if name in METRICS)
    return table(["figure", "what it is"], ([each.label, each.description] for each in known))


def _value(summary: Summary, name: str, unit: str) -> str:
    if name not in summary.values:
        return rows.NOT_APPLICABLE
    value = summary.values[name]
    if value is None:
        return rows.UNMEASURED
    return value if isinstance(value, str) else rows.figure(value, unit, in_full=True)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"{value:.10g}" if isinstance(value, float) else "unknown" if value is None else str(value)
