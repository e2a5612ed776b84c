"""report.html: the verdict on a run, the metrics of its workloads, charts, and the environment."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from testbed import drawing
from testbed.analysis import formatting
from testbed.report import goodput, latency, senders
from testbed.report.cells import Cells, PageVerdict, TableCell, Tile
from testbed.report.facts import facts
from testbed.report.link_charts import links_over_time
from testbed.report.marks import STYLES
from testbed.report.page import render
from testbed.report.sampling import spread
from testbed.report.socket_charts import connections
from testbed.report.stage import ReportStage, alike, group_name, listed
from testbed.report.start import start
from testbed.report.workloads import workload_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.analysis.samples import RecordedSamples, Samples
    from testbed.plan.model import Plan
    from testbed.report.charts import Figure
    from testbed.runs.run import Run
    from testbed.runs.timeline_records import TimelineRecord

_MOST_STAGES = 24
_MOST_GROUPS = 30
"""Groups of similar workloads that have charts, of all stages together."""

_MOST_TWINS = 8
_MOST_LINES = 200
"""Of a table; failures come first where there are more."""


class _Judged(Protocol):
    @property
    def passed(self) -> bool: ...


Judged = TypeVar("Judged", bound=_Judged)


def run_page(run: Run, recorded: RecordedSamples) -> str:
    """Return the report of a run, as HTML."""
    samples = [
        [recorded.samples[workload.name] for workload in stage if workload.name in recorded.samples]
        for stage in run.plan.stages
    ]
    context: dict[str, Any] = {
        "judged": _verdict(run),
        "workloads": workload_table(run),
        "start": [*start(run.plan, run.summaries)],
        "expectations": _expectations(run),
        "links": _links(run),
        "timeline": _timeline(run),
        "stages": [*_stages(run, recorded, samples)],
        "twins": [*twin_figures(run.plan, samples, run.timeline)],
        "traffic": links_over_time(run),
        "connections": [*connections(run)],
        "captures": _captures(run),
    }
    return render(
        "run.html.j2",
        title=f"{run.plan.lab}, {run.path.name}",
        name=run.plan.topology,
        description=run.plan.description,
        when=_when(run),
        drawing=drawing.figure(run.plan),
        sections=[*_sections(context)],
        facts=facts(run),
        version=run.versions.get("testbed", ""),
        folder=run.path.name,
        **context,
    )


def _sections(context: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the page's table of contents."""
    shown = {
        "topology": True,
        "workloads": context["workloads"].lines,
        "expectations": context["expectations"],
        "links": context["links"]["lines"],
        "timeline": context["timeline"],
    }
    yield from ({"id": name, "title": name.capitalize()} for name, there in shown.items() if there)
    yield from ({"id": stage["id"], "title": stage["title"]} for stage in context["stages"])
    later = {
        "side-by-side": ("Side by side", context["twins"]),
        "traffic": ("Links over time", context["traffic"]["figures"]),
        "connections": ("TCP connections", context["connections"]),
        "captures": ("Captures", context["captures"]["lines"]),
        "details": ("Details", True),
    }
    yield from ({"id": name, "title": title} for name, (title, there) in later.items() if there)


def _when(run: Run) -> str:
    started = datetime.fromisoformat(run.started)
    lab = f"lab {run.plan.lab} · " if run.plan.lab != run.plan.topology else ""
    length = ""
    if run.ended is not None:
        length = f" · {(datetime.fromisoformat(run.ended) - started).total_seconds():.0f} s"
    return f"{lab}{started:%Y-%m-%d %H:%M:%S} UTC{length} · runtime {run.runtime}"


def _verdict(run: Run) -> PageVerdict:
    reasons = [*run.why_not_trusted, *(f"changed after the lab came up: {link}" for link in run.changed_links)]
    for outcome in run.outcomes:
        if not outcome.passed:
            found, wanted = formatting.outcome_cells(outcome)
            reasons.append(f"expected {outcome.expectation}: measured {found}, wanted {wanted}")
    return PageVerdict(
        good=run.trusted and run.as_expected,
        title=f"This run is {formatting.run_verdict(run)}",
        reasons=tuple(reasons),
        tiles=tuple(_tiles(run)),
        notes=tuple(f"Not verified: {reservation}" for reservation in formatting.reservations(run.checks)),
    )


def _tiles(run: Run) -> Iterator[Tile]:
    checks = len(run.checks)
    if checks:
        right = sum(check.passed and check.skipped is None for check in run.checks)
        failed = sum(not check.passed for check in run.checks)
        yield Tile(name="Links as requested", value=f"{right} of {checks}", good=not failed)
    else:
        none = "none has impairments" if not run.plan.links else "not checked"
        yield Tile(name="Links", value=none)
    if run.nats:
        right = sum(check.passed for check in run.nats)
        yield Tile(name="NATs as requested", value=f"{right} of {len(run.nats)}", good=right == len(run.nats))
    if run.outcomes:
        held = sum(outcome.passed for outcome in run.outcomes)
        yield Tile(name="Expectations met", value=f"{held} of {len(run.outcomes)}", good=held == len(run.outcomes))
    whole = len(run.plan.workloads)
    if whole:
        yield Tile(
            name="Workloads completed",
            value=f"{len(run.summaries)} of {whole}",
            good=None if run.is_whole else False,
        )
    if run.engines:
        kept_up = not run.distrust and run.is_whole
        engines = ", ".join(sorted({engine.engine for engine in run.engines}))
        value = "kept up" if kept_up else "not trusted" if run.distrust else "unknown"
        yield Tile(
            name="Emulation", value=value, note=engines, good=True if kept_up else False if run.distrust else None
        )


def _expectations(run: Run) -> list[Cells]:
    outcomes = run.outcomes
    lines: list[Cells] = [
        [
            outcome.expectation,
            *formatting.outcome_cells(outcome),
            TableCell(text=formatting.outcome_verdict(outcome), good=outcome.passed),
        ]
        for outcome in _failures_first(outcomes)
    ]
    return _bounded(lines, len(outcomes))


def _links(run: Run) -> dict[str, Any]:
    """Return the table of links, one line each."""
    properties = formatting.shown_properties(run.checks)
    several = len({check.network for check in run.checks}) > 1
    head = ["link", *(["network"] if several else []), *properties, "verdict"]
    lines: list[Cells] = [
        [
            check.link,
            *([check.network] if several else []),
            *(_measured(formatting.link_cell(check, name)) for name in properties),
            TableCell(text=check.verdict, good=check.passed),
        ]
        for check in _failures_first(run.checks)
    ]
    return {"head": head, "lines": _bounded(lines, len(run.checks))}


def _failures_first(judged: Sequence[Judged]) -> Sequence[Judged]:
    """Return as many as a table has lines; those that failed come first where there are more."""
    if len(judged) <= _MOST_LINES:
        return judged
    return sorted(judged, key=lambda one: one.passed)[:_MOST_LINES]


def _bounded(lines: list[Cells], count: int) -> list[Cells]:
    """Return lines of a table with one more that says how many are left out, if any are."""
    left_out = count - len(lines)
    return [*lines, [f"{left_out:,} more", *[""] * (len(lines[0]) - 1)]] if left_out else lines


def _measured(cell: str) -> str | TableCell:
    """Return the cell of a property: the measured value, with the requested one below it."""
    requested, colon, measured = cell.partition(": ")
    return TableCell(text=measured, below=requested) if colon else cell


def _timeline(run: Run) -> list[Cells]:
    lines: list[Cells] = []
    for number, event in enumerate(run.plan.timeline):
        if event.minor:
            continue
        late = "did not happen"
        if number < len(run.timeline):
            late = formatting.duration(run.timeline[number].late_ns)
        lines.append([formatting.duration(event.at_ns), event.what, str(len(event.changes)), late])
    return _bounded(lines[:_MOST_LINES], len(lines))


def _stages(run: Run, recorded: RecordedSamples, samples: Sequence[Sequence[Samples]]) -> Iterator[dict[str, Any]]:
    numbered = spread([*enumerate(zip(run.plan.stages, samples, strict=True), 1)], _MOST_STAGES)
    most = max(2, _MOST_GROUPS // max(1, len(numbered)))
    for number, (stage, together) in numbered:
        key = f"stage-{number}"
        figures: list[Figure | str] = [*stage_figures(run.plan, together, run.timeline, key=key, most=most)]
        if (count := len(alike(each.workload for each in together))) > most:
            figures.insert(
                0, f"Charts of {most} of {count:,}, evenly, from the least latency or goodput to the greatest."
            )
        if len(numbered) < len(run.plan.stages) and number == 1:
            text = f"Charts of {len(numbered)} of the {len(run.plan.stages):,} steps, evenly chosen"
            figures.insert(0, f"{text}; testbed samples has the others.")
        figures += [
            f"The samples of {workload.name} can't be shown: {recorded.problems[workload.name]}"
            for workload in stage
            if workload.name in recorded.problems
        ]
        if figures:
            place = f"stage {number} of {len(run.plan.stages)}{', together' if len(stage) > 1 else ''}"
            remarks = [
                start.remark for start in run.starts if start.began_ns.keys() & {workload.name for workload in stage}
            ]
            yield {
                "id": f"stage-{number}",
                "title": _stage_title(stage),
                "place": place,
                "remark": ". ".join(remark for remark in remarks if remark),
                "figures": figures,
            }


def _stage_title(stage: Sequence[Any]) -> str:
    return listed([group_name([workload.name for workload in group]) for group in alike(stage)])


def stage_figures(
    plan: Plan,
    together: Sequence[Samples],
    timeline: Sequence[TimelineRecord] = (),
    *,
    key: str = "",
    most: int = _MOST_GROUPS,
) -> Iterator[Figure]:
    """Yield the figures of the workloads of a stage; those over time share an axis, with the timeline's events.

    Of more than `most` groups some have figures: those with the least and the greatest latency or goodput among them.
    """
    stage = ReportStage.of(plan, together, timeline, key=key)
    if stage is None:
        return
    if len(stage.groups) > most:
        chosen = spread(sorted(stage.groups, key=lambda group: group.magnitude), most)
        stage = replace(stage, groups=tuple(group for group in stage.groups if group in chosen))
    yield from goodput.goodput(stage)
    yield from latency.over_time(stage)
    yield from latency.tail(stage)
    for group in stage.groups:
        yield from senders.senders(stage, group)
    for group in stage.groups:
        if not group.many:
            yield from latency.sequence(group.first)
    for group in stage.groups:
        yield from senders.others(stage, group)


def twin_figures(
    plan: Plan, stages: Sequence[Sequence[Samples]], timeline: Sequence[TimelineRecord] = ()
) -> Iterator[Figure]:
    """Yield figures that compare workloads of different stages that sent the same in the same way."""
    alike: dict[tuple[object, ...], list[tuple[int, Samples]]] = {}
    for number, stage in enumerate(stages):
        for samples in stage:
            messages, parameters = samples.messages, samples.workload.parameters
            if messages.one_way and messages.latency and {"rate_bps", "size_bytes"} <= parameters.keys():
                way = messages.sender, messages.receiver, samples.workload.address
                key = *way, parameters["rate_bps"], parameters["size_bytes"]
                alike.setdefault(key, []).append((number, samples))
    for group in spread([*alike.values()], _MOST_TWINS):
        if len({number for number, _ in group}) > 1:
            yield from latency.twins(plan, [samples for _, samples in spread(group, STYLES)], timeline)


def _captures(run: Run) -> dict[str, Any]:
    lines: list[Cells] = [
        [
            TableCell(text=capture.node, below=f"{capture.network}, {capture.interface}"),
            TableCell(text=capture.file, code=True),
            f"{capture.packets:,}",
            formatting.size(capture.size_bytes),
            f"{capture.dropped:,}",
            f"{capture.overwritten:,}",
        ]
        for capture in run.captures
    ]
    return {"lines": lines, "incomplete": any(capture.dropped or capture.overwritten for capture in run.captures)}
