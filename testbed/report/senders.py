"""Charts of TCP's state over time, and of other columns of samples."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING

from testbed.analysis import formatting
from testbed.analysis.samples.bins import Bins
from testbed.analysis.samples.quantities import quantity
from testbed.analysis.samples.reading import SAMPLE, TCP_INFO
from testbed.report import configured
from testbed.report.axes import Axis
from testbed.report.charts import Figure, Panel, multiples
from testbed.report.display_units import PERCENT, display_unit
from testbed.report.marks import Bars, Lines, Mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.analysis.samples import Series
    from testbed.report.stage import ReportStage, WorkloadGroup

_NUMBERS_OF_THE_KERNEL = ("state", "ca_state")
_HELD_UP = {"rwnd_limited_ns": "the receiver's window", "sndbuf_limited_ns": "the send buffer"}
_MAIN = ("rtt_ns", "cwnd", "ssthresh", "retransmits", "delivery_rate", "pacing_rate", *_HELD_UP)
_BARS = 100
_LEAST_BAR_NS = 100_000_000
_FEW = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderColumns:
    """Columns over time that one node recorded of a workload, or those of a group together.

    Attributes:
        event: whose columns they are.
        node: that recorded them, or what the nodes have in common.
        many: whether they are of several workloads.
        bins: by name; of several workloads with the values of all of them.
        retransmits: new ones over time, of all workloads.
    """

    event: str
    node: str
    many: bool
    bins: Mapping[str, Bins]
    retransmits: Bins

    def telling(self, *names: str) -> dict[str, Bins]:
        """Return those of the named columns that exist and are not always zero."""
        found = {name: self.bins[name] for name in names if name in self.bins}
        return {name: bins for name, bins in found.items() if any(bin_.high or bin_.low for bin_ in bins)}

    def varying(self) -> dict[str, Bins]:
        """The columns that are not the same all the time."""
        return {
            name: bins
            for name, bins in self.bins.items()
            if len({edge for bin_ in bins for edge in (bin_.low, bin_.high)}) > 1
        }


def columns(group: WorkloadGroup) -> list[SenderColumns]:
    """The columns of a group, by event and by the end of the workload that recorded them."""
    merged: dict[tuple[str, bool], list[Series]] = {}
    for member in group.members:
        for (event, node), series in member.series.items():
            merged.setdefault((event, node == member.workload.source), []).append(series)
    return [_merged(event, several) for (event, _), several in merged.items()]


def _merged(event: str, several: Sequence[Series]) -> SenderColumns:
    names = dict.fromkeys(name for series in several for name in series.columns)
    nodes = [*dict.fromkeys(series.node for series in several)]
    return SenderColumns(
        event=event,
        node=nodes[0] if len(nodes) == 1 else f"{nodes[0]} … {nodes[-1]}",
        many=len(several) > 1,
        bins={
            name: Bins.merged([series.columns[name] for series in several if name in series.columns]) for name in names
        },
        retransmits=Bins.merged([series.retransmits for series in several]),
    )


def senders(stage: ReportStage, group: WorkloadGroup) -> Iterator[Figure]:
    """Figures of TCP's state at each node that recorded it, and folded away what else it recorded."""
    for recorded in columns(group):
        if recorded.event != TCP_INFO:
            continue
        panels = [*_rtt(stage, group, recorded), *_window(stage, recorded), *_rates(stage, recorded)]
        panels += [*_retransmits(stage, recorded), *_held_up(stage, recorded)]
        note = f"TCP_INFO of {recorded.node}." + (_BAND if recorded.many else "")
        if panels:
            yield stage.figure(f"TCP sender of {group.name}", panels, note=note)
        rest = {
            name: bins for name, bins in recorded.varying().items() if name not in (*_MAIN, *_NUMBERS_OF_THE_KERNEL)
        }
        if rest:
            title = f"More of the TCP sender of {group.name}"
            yield _small_ones(stage, recorded, rest, title, folded=True)


_BAND = " The line is the mean of all, the band spans from the least to the greatest."


def others(stage: ReportStage, group: WorkloadGroup) -> Iterator[Figure]:
    """Figures of all other columns over time. What a program reports is its result: a few numbers are drawn large."""
    for recorded in columns(group):
        telling = recorded.telling(*recorded.bins)
        if recorded.event != TCP_INFO and telling:
            what = "Samples" if recorded.event == SAMPLE else recorded.event.replace("-", " ").capitalize()
            title = f"{what} of {group.name}, recorded by {recorded.node}"
            if recorded.event == SAMPLE and len(telling) <= _FEW:
                yield stage.figure(title, _panels(stage, recorded, telling), note=_note(recorded))
            else:
                yield _small_ones(stage, recorded, telling, title)


def _small_ones(
    stage: ReportStage, of: SenderColumns, shown: Mapping[str, Bins], title: str, *, folded: bool = False
) -> Figure:
    return multiples(
        title,
        stage.time,
        stage.clock,
        _panels(stage, of, shown),
        note=_note(of),
        events=stage.events,
        group=stage.key,
        folded=folded,
    )


def _panels(stage: ReportStage, of: SenderColumns, shown: Mapping[str, Bins]) -> list[Panel]:
    panels = []
    for name, bins in shown.items():
        axis, label = column_axis(of.event, name, _most(bins))
        panels.append(Panel(label=label, y=axis, marks=[stage.curve(bins, band=of.many)], height=84))
    return panels


def _note(of: SenderColumns) -> str:
    return _BAND.strip() if of.many else ""


def column_axis(event: str, name: str, most: float) -> tuple[Axis, str]:
    """An axis for a column whose greatest value is `most`, and its label."""
    what = quantity(event, name)
    unit = display_unit(what.unit, most)
    return Axis(unit=unit), f"{what.label}, {unit.name}" if unit.name else what.label


def _most(*several: Bins) -> float:
    return max(max(abs(bin_.high), abs(bin_.low)) for bins in several for bin_ in bins)


def _rtt(stage: ReportStage, group: WorkloadGroup, of: SenderColumns) -> Iterator[Panel]:
    for bins in of.telling("rtt_ns").values():
        levels = stage.level(configured.round_trip_ns(stage.plan, group.first.workload, stage.timeline))
        most = max([_most(bins), *(value for level in levels for _, value in level.steps)])
        axis, label = column_axis(of.event, "rtt_ns", most)
        curve = stage.curve(bins, band=True) if of.many else Lines(lines=[_means(stage, bins)])
        yield Panel(label=label, y=axis, marks=[curve, *levels], height=110)


def _means(stage: ReportStage, bins: Bins) -> list[tuple[float, float]]:
    return [(at, mean) for at, _, mean, _ in stage.ranges(bins)]


def _window(stage: ReportStage, of: SenderColumns) -> Iterator[Panel]:
    columns = of.telling("cwnd", "ssthresh")
    if "cwnd" in columns:
        marks = [stage.curve(columns["cwnd"], name="congestion window", band=of.many)]
        if "ssthresh" in columns:
            marks.append(stage.curve(columns["ssthresh"], 1, name="slow-start threshold", thin=True))
        yield Panel(label="window, segments", y=Axis(), marks=marks, height=130)


def _rates(stage: ReportStage, of: SenderColumns) -> Iterator[Panel]:
    """The rate of delivery that TCP measures, and the one it allows itself, which may go off the axis."""
    columns = of.telling("delivery_rate", "pacing_rate")
    if "delivery_rate" in columns:
        most = _most(columns["delivery_rate"])
        if "pacing_rate" in columns:
            most = max(most, min(_most(columns["pacing_rate"]), 2 * most))
        unit = display_unit("bit/s", most)
        marks: list[Mark] = [stage.curve(columns["delivery_rate"], name="delivery rate", band=of.many)]
        if "pacing_rate" in columns:
            marks.append(stage.curve(columns["pacing_rate"], 1, name="pacing rate", thin=True))
        yield Panel(label=f"rates, {unit.name}", y=Axis(unit=unit, low=0, high=most * 1.05), marks=marks, height=110)


def _retransmits(stage: ReportStage, of: SenderColumns) -> Iterator[Panel]:
    if of.retransmits:
        width = max(_LEAST_BAR_NS, _round_step(stage.length_ns / _BARS))
        bars = [
            (start - stage.origin_ns, start + width - stage.origin_ns, total)
            for start, total in of.retransmits.regrouped(width).items()
        ]
        label = f"segments sent again per {formatting.duration(width)}"
        yield Panel(label=label, y=Axis(), marks=[Bars(bars=bars)], height=56)


def _round_step(least: float) -> float:
    """The least of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** floor(log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least)


def _held_up(stage: ReportStage, of: SenderColumns) -> Iterator[Panel]:
    """What kept TCP from sending more where it was not the network: its share of the time."""
    columns = of.telling(*_HELD_UP)
    if columns:
        marks = [stage.curve(bins, number, name=_HELD_UP[name]) for number, (name, bins) in enumerate(columns.items())]
        y = Axis(low=0, high=1, unit=PERCENT)
        yield Panel(label="held up, % of the time, by", y=y, marks=marks, height=56)
