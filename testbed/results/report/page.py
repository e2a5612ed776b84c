"""The page: a verdict, the topology, the tables, the figures of each stage, and the facts that results depend on."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from testbed.results import rows
from testbed.results.report import drawn_topology
from testbed.results.report.blocks import Cell, page_of, table
from testbed.results.report.facts import facts
from testbed.results.report.figures import stage_figures, twin_figures
from testbed.results.report.markup import Element, element
from testbed.results.report.sockets import connections
from testbed.results.report.start import start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.results.report.samples import Recorded, Samples
    from testbed.results.run import Run


def page(run: Run, recorded: Recorded) -> str:
    """The report of a run, as HTML."""
    body: list[Element] = [
        *_title(run),
        _verdict(run),
        drawn_topology.draw(run.plan),
        *_links(run),
        *_timeline(run),
        *_expectations(run),
        *_workloads(run),
        *start(run.plan, run.summaries),
        *_stages(run, recorded),
        *_connections(run),
        *_captures(run),
        element("h2", "What it depends on"),
        *facts(run),
        element("footer", f"Made by testbed {run.versions.get('testbed', '')} from {run.path.name}."),
    ]
    return page_of(f"{run.plan.lab}, {run.path.name}", body)


def _title(run: Run) -> Iterator[Element]:
    started = datetime.fromisoformat(run.started)
    length = ""
    if run.ended is not None:
        length = f", {(datetime.fromisoformat(run.ended) - started).total_seconds():.0f} s"
    yield element("h1", run.plan.topology)
    if run.plan.description:
        yield element("p", run.plan.description)
    lab = f"lab {run.plan.lab}, " if run.plan.lab != run.plan.topology else ""
    yield element("p", f"{lab}{started:%Y-%m-%d %H:%M:%S} UTC{length}, runtime {run.runtime}", class_="soft")


def _verdict(run: Run) -> Element:
    reasons = [*run.why_not_trusted, *(f"changed since the lab came up: {link}" for link in run.changed_links)]
    good = run.trusted and run.as_expected
    if run.checks:
        measured = f"{rows.links_verdict(run.checks)}."
    else:
        measured = "No link was measured: none is shaped." if not run.plan.links else "The links were not measured."
    kept_up = ["The emulation kept up."] if run.engines and not run.distrust and run.is_whole else []
    return element(
        "section",
        element("strong", f"{'✓' if good else '✗'} This run is {rows.run_verdict(run)}"),
        element("ul", *(element("li", reason) for reason in reasons)) if reasons else None,
        element("p", " ".join([measured, *kept_up])),
        *(element("p", f"Not measured or proven: {each}", class_="soft") for each in rows.reservations(run.checks)),
        class_=f"verdict {'good' if good else 'bad'}",
    )


def _links(run: Run) -> Iterator[Element]:
    if not run.checks:
        return
    properties = rows.shown_properties(run.checks)
    several = len({check.network for check in run.checks}) > 1
    head = ["link", *(["network"] if several else []), *properties, "verdict"]
    lines: list[list[Cell]] = []
    for check in run.checks:
        verdict = element("td", check.verdict, class_="good" if check.passed else "bad")
        cells = [_asked_measured(rows.link_cell(check, name)) for name in properties]
        lines.append([element("td", check.link, class_="name"), *([check.network] if several else []), *cells, verdict])
    yield element("h2", "Links", element("small", "measured before the run; below each figure what was requested"))
    yield table(head, lines)


def _asked_measured(cell: str) -> Element:
    asked, colon, measured = cell.partition(": ")
    if not colon:
        return element("td", cell)
    return element("td", measured, element("span", asked, class_="asked"))


def _timeline(run: Run) -> Iterator[Element]:
    if not run.plan.timeline:
        return
    yield element("h2", "Timeline", element("small", "marked in the plots"))
    lines: list[list[Cell]] = []
    for number, event in enumerate(run.plan.timeline):
        late = "did not happen"
        if number < len(run.timeline):
            late = f"{rows.duration(run.timeline[number].done_ns - run.timeline[number].due_ns)} later"
        at = rows.duration(event.at_ns)
        lines.append(
            [at, event.what, *(element("td", cell, class_="figure") for cell in (str(len(event.changes)), late))]
        )
    yield table(["at", "what", "links changed", "done"], lines, figures=2)


def _expectations(run: Run) -> Iterator[Element]:
    if not run.outcomes:
        return
    yield element("h2", "Expectations")
    lines: list[list[Cell]] = []
    for outcome in run.outcomes:
        verdict = element("td", rows.outcome_verdict(outcome), class_="good" if outcome.passed else "bad")
        lines.append([outcome.expectation, *rows.outcome_cells(outcome), verdict])
    yield table(["expected", "found", "wanted", "verdict"], lines)


def _workloads(run: Run) -> Iterator[Element]:
    if not run.plan.workloads:
        return
    yield element("h2", "Workloads")
    by_name = {workload.name: workload for workload in run.plan.workloads}
    order = list(by_name)
    stages = {each.name: number for number, stage in enumerate(run.plan.stages, 1) for each in stage}
    lines: list[list[Cell]] = []
    for summary in sorted(run.summaries, key=lambda each: order.index(each.workload)):
        workload = by_name[summary.workload]
        there = workload.source != workload.destination
        ends = f"{workload.source} → {workload.destination}" if there else f"in {workload.source}"
        figures = (element("td", cell, class_="figure") for cell in rows.workload_cells(summary).values())
        link = element("a", summary.workload, href=f"#stage-{stages[summary.workload]}")
        name = element("td", link, element("span", f"{summary.kind}, {ends}", class_="asked"))
        lines.append([name, *figures])
    yield table(["workload", *rows.WORKLOAD_COLUMNS], lines, figures=len(rows.WORKLOAD_COLUMNS))
    without = [name for name in order if name not in {each.workload for each in run.summaries}]
    if without:
        yield element("p", f"Without result: {', '.join(without)}.")


def _stages(run: Run, recorded: Recorded) -> Iterator[Element]:
    stages: list[list[Samples]] = []
    for number, stage in enumerate(run.plan.stages, 1):
        together = [recorded.samples[each.name] for each in stage if each.name in recorded.samples]
        figures = [*stage_figures(run.plan, together, run.timeline)]
        for each in stage:
            if each.name in recorded.problems:
                said = f"The samples of {each.name} can't be shown: {recorded.problems[each.name]}"
                figures.append(element("p", said, class_="soft"))
        if figures:
            names = ", ".join(workload.name for workload in stage)
            place = f"stage {number} of {len(run.plan.stages)}{', together' if len(stage) > 1 else ''}"
            yield element("h2", names, element("small", place), id=f"stage-{number}")
            yield from figures
        stages.append(together)
    twins = [*twin_figures(run.plan, stages, run.timeline)]
    if twins:
        yield element("h2", "Side by side", element("small", "workloads that sent the same, one after the other"))
        yield from twins


def _connections(run: Run) -> Iterator[Element]:
    if run.sockets:
        yield element("h2", "TCP connections", element("small", "of all processes in a node, as its kernel tells"))
        yield from connections(run)


def _captures(run: Run) -> Iterator[Element]:
    if not run.captures:
        return
    yield element("h2", "Captures", element("small", "in the run's directory, for tcpdump, tshark or Wireshark"))
    lines: list[list[Cell]] = []
    for each in run.captures:
        counts = (f"{each.packets:,}", rows.size(each.size_bytes), f"{each.dropped:,}", f"{each.overwritten:,}")
        figures = (element("td", count, class_="figure") for count in counts)
        where = element("td", each.node, element("span", f"{each.network}, {each.interface}", class_="asked"))
        lines.append([where, element("td", element("code", each.file)), *figures])
    yield table(["port", "file", "packets", "size", "dropped", "overwritten"], lines, figures=4)
    if any(each.dropped or each.overwritten for each in run.captures):
        said = "Dropped: the capture did not get its turn in time. Overwritten: made room for newer packets."
        yield element("p", said, class_="soft")
