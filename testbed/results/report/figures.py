"""Which figures there are of the workloads that ran together, made from their samples."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from testbed.results import rows
from testbed.results.report.axes import ONE, PERCENT, SECONDS, Axis, Linear, Logarithmic, Nothing, rate_unit, time_unit
from testbed.results.report.marks import Columns, Dots, Level, Line, Mark, Rug
from testbed.results.report.plot import Panel, figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.plan.model import Plan, Workload
    from testbed.results.report.bins import Bins
    from testbed.results.report.markup import Element
    from testbed.results.report.samples import Flow, Messages, Samples, Sender

TIME = "time since the stage began, s"
_ONE_WAY = ("udp-stream", "tcp-messages")
_SECOND = 1_000_000_000
_PARTS = 100
_WIDE = 8
"""From which ratio of the greatest to the least latency on the axis is logarithmic."""


def stage_figures(plan: Plan, together: Sequence[Samples]) -> Iterator[Element]:
    """The figures of the workloads of one stage; those over time share one axis."""
    begun = [each.begun_ns for each in together if each.begun_ns is not None]
    if not begun:
        return
    origin_ns = min(begun)
    time = Linear(low=0, high=max(_end_ns(each) for each in together) - origin_ns, unit=SECONDS, most_ticks=12)
    styles = {each.workload.name: number for number, each in enumerate(together)}
    flows = {each.workload.name: each.flow for each in together if each.flow is not None and each.flow.delivered}
    if any(len(list(flow.delivered)) > 1 for flow in flows.values()):
        yield _goodput(flows, styles, time, origin_ns)
    for each in together:
        for node, sender in each.senders.items():
            yield _sender(plan, each.workload, node, sender, time, origin_ns=origin_ns)
    with_messages = [each for each in together if len(each.messages)]
    for each in with_messages:
        if each.messages.latency:
            yield _latency(plan, each, styles[each.workload.name], time, origin_ns)
    if any(each.messages.latencies.count for each in with_messages):
        yield _tail(with_messages, styles)
    for each in with_messages:
        if each.workload.kind == "udp-stream":
            yield _sequence(each.workload, each.messages)


def _end_ns(samples: Samples) -> int:
    """The latest time in what is plotted over time."""
    over_time = [samples.messages.latency, samples.messages.lost_at]
    over_time += [sender.rtt for sender in samples.senders.values()]
    ends = [last.start + bins.width for bins in over_time for last in list(bins)[-1:]]
    return max([*ends, samples.flow.last_ns if samples.flow else 0, (samples.begun_ns or 0) + 1])


# ---- over time ------------------------------------------------------------------------------------------------------


def _goodput(flows: Mapping[str, Flow], styles: Mapping[str, int], time: Axis, origin_ns: int) -> Element:
    lines = {name: _rates(flow.delivered, origin_ns) for name, flow in flows.items()}
    most = max((rate for points in lines.values() for _, rate in points), default=1)
    unit = rate_unit(most)
    widths = sorted({flow.delivered.width for flow in flows.values()})
    note = f"Payload delivered per {' or '.join(rows.duration(width) for width in widths)}."
    index = jain(list(flows.values()))
    if index is not None:
        note += f" Jain's fairness index of the {len(flows)}, while all of them ran: {index:.3f} (1 is all alike)."
    panel = Panel(
        label=f"goodput, {unit.name}",
        y=Linear.up_to(most, unit),
        marks=[Line(name=name, style=styles[name], points=points, steps=True) for name, points in lines.items()],
        height=170,
    )
    return figure(f"Goodput of {_listed(list(flows))}", time, TIME, [panel], note=note)


def _rates(delivered: Bins, origin_ns: int) -> list[tuple[float, float]]:
    """Goodput, bit/s, from the beginning of each bin on, 0 where nothing came; the last one, not full, is left out."""
    points: list[tuple[float, float]] = []
    width, found = delivered.width, list(delivered)
    for one, following in pairwise(found):
        points.append((one.start - origin_ns, one.total * 8 * _SECOND / width))
        if following.start > one.start + width:
            points.append((one.start + width - origin_ns, 0))
    points.append((found[-1].start - origin_ns, points[-1][1] if points else 0))
    return points


def jain(flows: Sequence[Flow]) -> float | None:
    """Jain's fairness index of what flows had delivered while all of them ran.

    R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness and Discrimination", DEC-TR-301 (1984). None for
    fewer than two flows, or where they never ran together.
    """
    begun, ended = max(flow.first_ns for flow in flows), min(flow.last_ns for flow in flows)
    if len(flows) < 2 or ended <= begun:  # noqa: PLR2004 (to share takes two)
        return None
    shares = []
    for flow in flows:
        width = flow.delivered.width
        inside = [one.total for one in flow.delivered if begun <= one.start + width / 2 <= ended]
        shares.append(sum(inside) * _SECOND / width)
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else None


def _sender(plan: Plan, workload: Workload, node: str, sender: Sender, time: Axis, *, origin_ns: int) -> Element:
    retransmits = Rug(
        name="segments sent again",
        positions=[_middle(sender.retransmits, one.start) - origin_ns for one in sender.retransmits],
    )
    again = [retransmits] if sender.retransmits else []
    rtt_most = max(one.high for one in sender.rtt)
    unit = time_unit(rtt_most)
    cwnd_most = max(one.high for bins in (sender.cwnd, sender.ssthresh) for one in bins)
    cwnd: list[Mark] = [Line(name="congestion window", style=0, points=_means(sender.cwnd, origin_ns), steps=True)]
    if sender.ssthresh:
        points = _means(sender.ssthresh, origin_ns)
        cwnd.append(Line(name="slow-start threshold", style=1, points=points, steps=True, thin=True))
    asked_ns = _delay_ns(plan, workload, both_ways=True)
    panels = [
        Panel(
            label=f"smoothed round-trip time, {unit.name}",
            y=Linear.up_to(max(rtt_most, asked_ns), unit),
            marks=[
                Line(name="", style=0, points=_means(sender.rtt, origin_ns)),
                *([Level(value=asked_ns, name=f"{rows.duration(asked_ns)}, delay asked for")] if asked_ns else []),
                *again,
            ],
            height=110,
        ),
        Panel(label="congestion window, segments", y=Linear.up_to(cwnd_most), marks=[*cwnd, *again], height=130),
    ]
    note = f"TCP_INFO of {node}."
    return figure(f"TCP sender of {workload.name}", time, TIME, panels, note=note)


def _latency(plan: Plan, samples: Samples, style: int, time: Axis, origin_ns: int) -> Element:
    messages, workload = samples.messages, samples.workload
    one_way = workload.kind in _ONE_WAY
    asked_ns = _delay_ns(plan, workload, both_ways=not one_way)
    ranges = [
        (_middle(messages.latency, one.start) - origin_ns, one.low, one.mean, one.high) for one in messages.latency
    ]
    y, label = _latency_axis([value for one in ranges for value in (one[1], one[3])], asked_ns)
    marks: list[Mark] = [Dots(name="", style=style, ranges=ranges)]
    if asked_ns:
        marks.append(Level(value=asked_ns, name=f"{rows.duration(asked_ns)}, delay asked for"))
    if messages.lost_at:
        marks.append(
            Rug(name="lost", positions=[_middle(messages.lost_at, one.start) - origin_ns for one in messages.lost_at])
        )
    what = "one-way delay" if one_way else "round-trip time"
    note = "At the time of sending."
    if any(one.count > 1 for one in messages.latency):
        width = rows.duration(messages.latency.width)
        note += f" The mean of each {width}, with a stroke from the least to the greatest."
    panel = Panel(label=f"{what}, {label}", y=y, marks=marks, height=130)
    return figure(f"{what.capitalize()} of {workload.name}", time, TIME, [panel], note=note)


def _latency_axis(values: Sequence[float], asked_ns: float) -> tuple[Axis, str]:
    """An axis for latencies and what to call its unit."""
    low, high = min(values), max([*values, asked_ns])
    least = min([low, *([asked_ns] if asked_ns else [])])
    unit = time_unit(high)
    if low > 0 and high > _WIDE * low:
        return Logarithmic(low=least * 0.7, high=high * 1.15, unit=unit), f"{unit.name}, logarithmic"
    return Linear.up_to(high, unit), unit.name


def _means(bins: Bins, origin_ns: int) -> list[tuple[float, float]]:
    return [(_middle(bins, one.start) - origin_ns, one.mean) for one in bins]


def _middle(bins: Bins, start: int) -> float:
    return start + bins.width / 2


def _delay_ns(plan: Plan, workload: Workload, *, both_ways: bool) -> int:
    """What the links of a workload's path were asked to delay its packets, on the network that it uses."""
    destination = plan.node(workload.destination)
    network = next(each.network for each in destination.interfaces if each.address == workload.address)
    ways = [(workload.source, workload.destination, network)]
    if both_ways:
        ways.append((workload.destination, workload.source, network))
    return sum(link.shape.delay_ns for link in plan.links if link.ends in ways)


# ---- over something else --------------------------------------------------------------------------------------------


def _tail(together: Sequence[Samples], styles: Mapping[str, int]) -> Element:
    """The complementary distribution of latencies; the lost never arrive, so the curve ends at their share."""
    curves = [(each, each.messages.latencies.greater()) for each in together if each.messages.latencies.count]
    low = min(points[0][0] for _, points in curves)
    high = max(points[-1][0] for _, points in curves)
    unit = time_unit(high)
    x = Logarithmic(low=max(1, low) * 0.95, high=max(2, high) * 1.08, unit=unit)
    floor = 1.0
    marks = []
    for each, points in curves:
        sent = len(each.messages)
        lost = sent - each.messages.latencies.count
        line = [(x.low, 1.0), *((value, (left + lost) / sent) for value, left in points)]
        if lost:
            line.append((x.high, lost / sent))
        name = f"{each.workload.name} ({'one way' if each.workload.kind in _ONE_WAY else 'round trip'})"
        floor = min(floor, *(share for _, share in line if share))
        marks.append(Line(name=name, style=styles[each.workload.name], points=line, steps=True))
    y = Logarithmic(low=min(0.01, floor) * 0.8, high=1.0, unit=PERCENT)
    note = "How many of the messages sent took longer. What was lost never arrives: the curve stays at its share."
    panel = Panel(label="share that took longer, %, logarithmic", y=y, marks=marks, height=190)
    title = f"Tail of the latency of {_listed([each.workload.name for each, _ in curves])}"
    return figure(title, x, f"latency, {unit.name}, logarithmic", [panel], note=note)


def _sequence(workload: Workload, messages: Messages) -> Element:
    bars = messages.loss(_PARTS)
    size = bars[0][1]
    most = max(value for _, _, value in bars)
    rugs = [
        ("lost", "bad", messages.lost),
        ("reordered", "odd", messages.reordered),
        ("duplicates", "also", messages.duplicated),
    ]
    events = [
        Rug(name=name, kind=kind, row=len(rugs) - 1 - number, positions=[_middle(bins, one.start) for one in bins])
        for number, (name, kind, bins) in enumerate(rugs)
    ]
    x = Linear(low=0, high=len(messages), unit=ONE, most_ticks=10)
    panels = [
        Panel(
            label=f"loss, % of every {size}" if size > 1 else "loss, %",
            y=Linear.up_to(most or 0.01, PERCENT),
            marks=[Columns(name="", style=0, bars=bars)],
            height=90,
        ),
        Panel(label="each of them", y=Nothing(), marks=events, height=4),
    ]
    counts = ", ".join(f"{_total(bins)} {name}" for name, _, bins in rugs)
    note = f"Of {len(messages)} datagrams: {counts}."
    return figure(f"Loss and reordering of {workload.name}", x, "sequence number", panels, note=note)


def _total(bins: Bins) -> int:
    return sum(one.count for one in bins)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
