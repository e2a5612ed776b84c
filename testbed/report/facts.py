"""The details of a report: the environment of a run, and all of its metrics in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed import codec
from testbed.analysis import formatting
from testbed.metrics import METRICS
from testbed.report.sampling import spread
from testbed.workloads.group_summaries import by_kind, extremes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.runs.run import Run
    from testbed.workloads.summary import Summary

_ABREAST = 5

_NAMED = 40
"""So many links or workloads are listed by name; of more it says how many there are."""


def facts(run: Run) -> dict[str, Any]:
    """Return the template's data for the section of details: names with values, and tables of metrics."""
    plan, summaries = run.plan, run.summaries
    engines: dict[str, list[str]] = {}
    for engine in run.engines:
        engines.setdefault(f"engine {engine.engine}: {engine.why}", []).append(
            f"{engine.source} -> {engine.destination}"
        )
    versions = {
        name: ", ".join(links) if len(links) <= _NAMED else f"{len(links):,} links" for name, links in engines.items()
    }
    versions |= {f"version of {name}": value for name, value in run.versions.items()}
    seeds = {"plan digest (SHA-256)": plan.digest, "seed": f"{plan.seed}{'' if plan.seed_given else ', of the name'}"}
    for what, named in (("links", plan.links), ("workloads", plan.workloads)):
        if len(named) <= _NAMED:
            seeds |= {f"seed of {getattr(each, 'key', each.name)}": str(each.seed) for each in named}
        else:
            seeds[f"seeds of {len(named):,} {what}"] = "derived from the seed and their names; run.json has them"
    grouped = {workload.name: workload.group for workload in plan.workloads if workload.group}
    single = [summary for summary in summaries if summary.workload not in grouped]
    if len(single) > _NAMED:
        single = [each for kind in by_kind(plan.workloads, single) for each in extremes(kind)]
    members: dict[str, list[Summary]] = {}
    ended = {summary.workload: summary for summary in summaries}
    for name, group in grouped.items():
        if name in ended:
            members.setdefault(group, []).append(ended[name])
    together = [each for group in run.groups for each in extremes(group)]
    return {
        "versions": versions,
        "machine": {name.replace("_", " "): _plain(value) for name, value in codec.encode(run.host).items()},
        "seeds": seeds,
        "metrics": _tables([*single, *together]),
        "missing": [*_missing([*single, *together])],
        "groups": [
            {"name": name, "metrics": _tables(each), "missing": [*_missing(each)]}
            for name, each in ((name, spread(each, _NAMED)) for name, each in members.items())
        ],
        "meanings": [[METRICS[name].label, METRICS[name].description] for name in _names(summaries) if name in METRICS],
    }


def _tables(summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    return [_metrics(summaries[at : at + _ABREAST]) for at in range(0, len(summaries), _ABREAST)]


def _names(summaries: Sequence[Summary]) -> list[str]:
    return [*dict.fromkeys(name for summary in summaries for name in summary.values)]


def _metrics(summaries: Sequence[Summary]) -> dict[str, Any]:
    """Return a table of every metric of a few workloads side by side, in full."""
    lines = []
    for name in _names(summaries):
        metric = METRICS.get(name)
        values = [_value(summary, name, metric.unit if metric else "") for summary in summaries]
        lines.append([metric.label if metric else name, *values])
    return {"head": ["metric", *(summary.workload for summary in summaries)], "lines": lines}


def _missing(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield the reasons why metrics are missing."""
    for summary in summaries:
        for name, why in summary.missing.items():
            label = METRICS[name].label if name in METRICS else name
            yield f"No {summary.workload}.{label}: {why}."


def _value(summary: Summary, name: str, unit: str) -> str:
    if name not in summary.values:
        return formatting.NOT_APPLICABLE
    value = summary.values[name]
    if value is None:
        return formatting.UNMEASURED
    return value if isinstance(value, str) else formatting.metric_text(value, unit, in_full=True)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"{value:.10g}" if isinstance(value, float) else "unknown" if value is None else str(value)
