"""The state of TCP over time, and other columns of figures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.results import rows
from testbed.results.report import asked
from testbed.results.report.axes import PERCENT, Linear, round_step
from testbed.results.report.marks import Columns, Line, Mark
from testbed.results.report.markup import element
from testbed.results.report.plot import Panel, multiples
from testbed.results.report.quantities import quantity
from testbed.results.report.samples import SAMPLE, TCP_INFO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.results.report.bins import Bins
    from testbed.results.report.markup import Element
    from testbed.results.report.samples import Samples
    from testbed.results.report.series import Series
    from testbed.results.report.stage import Stage

_NUMBERS_OF_THE_KERNEL = ("state", "ca_state")
_HELD_UP = {"rwnd_limited_ns": "the receiver's window", "sndbuf_limited_ns": "the send buffer"}
_MAIN = ("rtt_ns", "cwnd", "ssthresh", "retransmits", "delivery_rate", "pacing_rate", *_HELD_UP)
_BARS = 100
_LEAST_BAR_NS = 100_000_000


def senders(stage: Stage, samples: Samples) -> Iterator[Element]:
    """Figures of TCP's state at each node that told of it, and folded away what else it told."""
    for series in samples.senders:
        panels = [*_rtt(stage, samples, series), *_window(stage, series), *_rates(stage, series)]
        panels += [*_retransmits(stage, series), *_held_up(stage, series)]
        if panels:
            title = f"TCP sender of {samples.workload.name}"
            yield stage.figure(title, panels, note=f"TCP_INFO of {series.node}.")
        rest = {name: bins for name, bins in series.varying().items() if name not in (*_MAIN, *_NUMBERS_OF_THE_KERNEL)}
        if rest:
            title = f"More of the TCP sender of {samples.workload.name}"
            yield element("details", element("summary", title), _columns(stage, series, rest, title), class_="more")


def others(stage: Stage, samples: Samples) -> Iterator[Element]:
    """Figures of all other columns over time."""
    for (event, node), series in samples.series.items():
        telling = series.telling(*series.columns)
        if event != TCP_INFO and telling:
            what = "Samples" if event == SAMPLE else event.replace("-", " ").capitalize()
            title = f"{what} of {samples.workload.name}, told by {node}"
            yield _columns(stage, series, telling, title)


def _columns(stage: Stage, series: Series, columns: dict[str, Bins], title: str) -> Element:
    panels = []
    for name, bins in columns.items():
        y, label = series.quantity(name).axis(max(one.high for one in bins))
        panels.append(Panel(label=label, y=y, marks=[_line(stage, bins)]))
    return multiples(title, replace(stage.time, most_ticks=5), stage.clock, panels)


def _line(stage: Stage, bins: Bins, style: int = 0, name: str = "", look: str = "") -> Line:
    return Line(name=name, style=style, points=stage.means(bins), steps=True, look=look)


def _rtt(stage: Stage, samples: Samples, series: Series) -> Iterator[Panel]:
    for bins in series.telling("rtt_ns").values():
        course = asked.round_trip_ns(stage.plan, samples.workload, stage.timeline)
        levels = stage.level(course)
        most = max(value for each in levels for _, value in each.steps) if levels else 0
        y, label = series.quantity("rtt_ns").axis(max(most, *(one.high for one in bins)))
        marks: list[Mark] = [Line(name="", style=0, points=stage.means(bins)), *levels]
        yield Panel(label=label, y=y, marks=marks, height=110)


def _window(stage: Stage, series: Series) -> Iterator[Panel]:
    found = series.telling("cwnd", "ssthresh")
    if "cwnd" in found:
        marks = [_line(stage, found["cwnd"], name="congestion window")]
        if "ssthresh" in found:
            marks.append(_line(stage, found["ssthresh"], 1, "slow-start threshold", "thin"))
        most = max(one.high for bins in found.values() for one in bins)
        yield Panel(label="window, segments", y=Linear.up_to(most), marks=marks, height=130)


def _rates(stage: Stage, series: Series) -> Iterator[Panel]:
    """The rate of delivery that TCP measures, and the one it allows itself, which may go off the axis."""
    found = series.telling("delivery_rate", "pacing_rate")
    if "delivery_rate" in found:
        most = max(one.high for one in found["delivery_rate"])
        if "pacing_rate" in found:
            most = min(max(one.high for one in found["pacing_rate"]), 2 * most)
        y, label = quantity(TCP_INFO, "delivery_rate").axis(most)
        marks = [_line(stage, found["delivery_rate"], name="delivery rate")]
        if "pacing_rate" in found:
            marks.append(_line(stage, found["pacing_rate"], 1, "pacing rate", "thin"))
        yield Panel(label=label.replace("delivery rate", "rates"), y=y, marks=marks, height=110)


def _retransmits(stage: Stage, series: Series) -> Iterator[Panel]:
    if series.retransmits:
        width = max(_LEAST_BAR_NS, round_step(stage.length_ns, _BARS))
        bars = [
            (start - stage.origin_ns, start + width - stage.origin_ns, total)
            for start, total in series.retransmits.regrouped(width).items()
        ]
        y = Linear.up_to(max(total for _, _, total in bars), most_ticks=3)
        yield Panel(
            label=f"segments sent again per {rows.duration(width)}", y=y, marks=[Columns(name="", bars=bars)], height=56
        )


def _held_up(stage: Stage, series: Series) -> Iterator[Panel]:
    """What kept TCP from sending more where it was not the network: its share of the time."""
    found = series.telling(*_HELD_UP)
    if found:
        marks = [_line(stage, bins, number, _HELD_UP[name]) for number, (name, bins) in enumerate(found.items())]
        y = Linear.up_to(1, PERCENT, most_ticks=2)
        yield Panel(label="held up, % of the time, by", y=y, marks=marks, height=56)
