"""Which figures there are of the workloads that ran together, made from their samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.results.report import goodput, latency, senders
from testbed.results.report.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.plan.model import Plan
    from testbed.results.report.markup import Element
    from testbed.results.report.samples import Samples
    from testbed.results.timeline import Happening


def stage_figures(plan: Plan, together: Sequence[Samples], timeline: Sequence[Happening] = ()) -> Iterator[Element]:
    """The figures of the workloads of one stage; those over time share one axis, on which the timeline is marked."""
    stage = Stage.of(plan, together, timeline)
    if stage is None:
        return
    yield from goodput.goodput(stage)
    yield from latency.over_time(stage)
    for each in together:
        yield from senders.senders(stage, each)
    yield from latency.tail(stage)
    for each in together:
        yield from latency.sequence(each)
    for each in together:
        yield from senders.others(stage, each)


def twin_figures(
    plan: Plan, stages: Sequence[Sequence[Samples]], timeline: Sequence[Happening] = ()
) -> Iterator[Element]:
    """Figures that hold workloads of different stages against each other that sent the same in the same way."""
    alike: dict[tuple[object, ...], list[tuple[int, Samples]]] = {}
    for number, stage in enumerate(stages):
        for each in stage:
            messages, parameters = each.messages, each.workload.parameters
            if messages.one_way and messages.latency and {"rate_bps", "size_bytes"} <= parameters.keys():
                way = messages.sender, messages.receiver, each.workload.address
                key = *way, parameters["rate_bps"], parameters["size_bytes"]
                alike.setdefault(key, []).append((number, each))
    for group in alike.values():
        if len({number for number, _ in group}) > 1:
            yield from latency.twins(plan, [each for _, each in group], timeline)
