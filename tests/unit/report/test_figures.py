"""Which figures there are follows from what was recorded, whatever the kind of the workload is called."""

import csv
import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from testbed.analysis.samples import Samples
from testbed.endpoint.columns import encode
from testbed.impairments import Impairments
from testbed.plan.events import Event, LinkChange
from testbed.records import parse_object
from testbed.report.run_page import stage_figures, twin_figures
from testbed.report.start import start
from testbed.runs import TimelineRecord
from testbed.workloads.summary import Summary

MS = 1_000_000
START = 10**12
NS = "{http://www.w3.org/2000/svg}"


def titles(figures):
    return [figure.title for figure in figures]


def words(figure):
    """What a reader sees of a figure beside the impairments."""
    labels = [text for chart in figure.charts for text in re.findall(r">([^<>]+)</text>", chart.svg)]
    legends = [swatch.name for chart in figure.charts for swatch in chart.legend]
    return " | ".join([figure.title, figure.note, *(chart.label for chart in figure.charts), *legends, *labels])


def values(chart, column="y"):
    """A column of what a chart draws, in the unit of its axis."""
    data = csv.DictReader(io.StringIO(json.loads(chart.specification)["data"]["values"]))
    return [float(row[column]) for row in data if row.get(column)]


def domain(chart):
    """The numbers at the axes of a chart."""
    svg = ET.fromstring(chart.svg)  # noqa: S314  # our own
    numbers = [(each.text or "").replace("\u2212", "-") for each in svg.iter(f"{NS}text")]
    return [float(each) for each in numbers if re.fullmatch(r"-?[\d.]+", each)]


def told(workload, *lines):
    samples = Samples(workload)
    for line in lines:
        samples.add(parse_object(line))
    samples.messages.finish()
    return samples


def sent(times, node="client"):
    return {"node": node, "event": "sent", "first": 0, "sent_ns": encode([START + at * MS for at in times])}


def received(arrivals, node):
    sequence, times = zip(*arrivals, strict=True)
    columns = {"seq": encode(sequence), "received_ns": encode([START + at * MS for at in times])}
    return {"node": node, "event": "received", **columns}


@pytest.fixture
def make(plan):
    def made(name, *lines, **changes):
        return told(replace(plan.workloads[0], name=name, kind="brand-new", **changes), *lines)

    return made


@pytest.fixture
def stream(make):
    """Messages 20 ms apart, 20 ms under way; the fifth, and all behind it for a while, come late."""

    def made(name, late, **changes):
        times = [number * 20 for number in range(20)]
        arrivals = [(number, max(at + 20, late if number >= 5 else 0)) for number, at in enumerate(times)]
        return make(name, sent(times), received(arrivals, "server"), **changes)

    return made


def test_messages_that_go_one_way_together_are_in_one_panel(plan, stream):
    found = stage_figures(plan, [stream("tcp", 240), stream("udp", 0)])
    (figure,) = [each for each in found if each.title == "One-way delay of tcp and udp"]
    (chart,) = figure.charts
    looks = {swatch.name: swatch.colour for swatch in chart.legend}
    assert looks.keys() == {"tcp", "udp", "configured delay 20 ms"}
    assert looks["tcp"] != looks["udp"]


def test_round_trips_are_below_each_other_on_the_same_axes(plan, make):
    asked = [
        make(name, sent([0, 100]), received([(0, 40), (1, 140 + late)], "client"))
        for name, late in (("a", 0), ("b", 300))
    ]
    found = [*stage_figures(plan, asked)]
    (figure,) = [each for each in found if each.title == "Response time of a and b"]
    first, second = figure.charts
    assert max(domain(first)) == max(domain(second))
    assert "Goodput" not in " ".join(titles(found))


@pytest.mark.parametrize("arrivals", [[(0, -30), (1, 40)], [(0, -30), (1, -20)]])
def test_negative_latencies_are_drawn(plan, make, arrivals):
    samples = make("skewed", sent([0, 10]), received(arrivals, "server"))
    delays, tail = (
        next(one for one in stage_figures(plan, [samples]) if one.title.startswith(title))
        for title in ("One-way delay", "Distribution")
    )
    assert min(domain(delays.charts[0])) < 0
    assert min(values(tail.charts[0], "x")) > 0  # the axis is logarithmic


def test_messages_of_which_none_is_lost_have_no_figure_of_loss(plan, stream):
    assert titles(stage_figures(plan, [stream("udp", 0)])) == [
        "Goodput of udp",
        "One-way delay of udp",
        "Distribution of the latency of udp",
    ]


def test_similar_workloads_of_different_stages_are_compared(plan, stream):
    tcp, udp = stream("tcp", 240), stream("udp", 0)
    other = stream("other", 0, parameters={"rate_bps": 1, "size_bytes": 160})
    assert titles(twin_figures(plan, [[tcp], [udp], [other]])) == [
        "One-way delay of tcp and udp",
        "Distribution of the latency of tcp and udp",
    ]
    assert titles(twin_figures(plan, [[tcp, udp], [other]])) == []


def tcp_info(**columns):
    times = [START + number * 100 * MS for number in range(len(next(iter(columns.values()))))]
    return {"node": "client", "event": "tcp-info", "at_ns": encode(times)} | {
        name: encode(values) for name, values in columns.items()
    }


def test_whatever_there_is_of_tcp_info_is_drawn(plan, make):
    small = make("small", tcp_info(rtt_ns=[40 * MS, 41 * MS], cwnd=[10, 20]))
    (figure,) = stage_figures(plan, [small])
    assert "smoothed round-trip time, ms" in words(figure)
    assert "sent again" not in words(figure)
    more = {"retransmits": [0, 3], "delivery_rate": [0, 10**6], "something_ns": [1, 2], "rttvar_ns": [MS // 2, MS]}
    full = make("full", tcp_info(rtt_ns=[40 * MS, 41 * MS], cwnd=[10, 20], **more))
    figure, folded = stage_figures(plan, [full])
    for word in ("segments sent again per 100 ms", "delivery rate", "rates, mbit/s"):
        assert word in words(figure)
    bars = ET.fromstring(figure.charts[-1].svg)  # noqa: S314  # our own
    (bar,) = [each for each in bars.iter(f"{NS}path") if each.get("fill") == "var(--bad)"]
    (top, height) = (float(number) for number in re.findall(r"M[\d.]+,([\d.]+)h[\d.]+v([\d.]+)", str(bar.get("d")))[0])
    assert top + height == 56, "bars stand on zero"
    assert folded.folded
    for word in ("something, ns", "its mean deviation, µs"):
        assert word in words(folded)


def test_columns_of_an_unknown_event_are_drawn(plan, make):
    fan = {"node": "server", "event": "fan-speed", "at_ns": encode([START, START + MS]), "turns": encode([5, 7])}
    (figure,) = stage_figures(plan, [make("rack", fan)])
    assert figure.title == "Fan speed of rack, recorded by server"
    assert [chart.label for chart in figure.charts] == ["turns"]
    assert values(figure.charts[0]) == [5, 7]


@pytest.mark.parametrize("celsius", [[-4], [-4, 3], [-400, -399], [0, 12]])
def test_an_axis_reaches_to_zero_and_to_all_values(plan, make, celsius):
    lines = [
        {"node": "server", "event": "sample", "at_ns": START + number * MS, "data": {"celsius": value}}
        for number, value in enumerate(celsius)
    ]
    (figure,) = stage_figures(plan, [make("temperature", *lines)])
    (chart,) = figure.charts
    labels = domain(chart)
    assert min(labels) <= min(0, *celsius)
    assert max(labels) >= max(0, *celsius)


def happening(what, at_ms):
    at = START + at_ms * MS
    return TimelineRecord(at_ns=0, what=what, due_ns=at, begun_ns=at, done_ns=at)


def test_the_configured_delay_follows_the_timeline(plan, stream):
    (link,) = plan.links
    change = LinkChange(
        **link.key._asdict(),
        impairments=Impairments(delay_ns=60 * MS),
    )
    changed = replace(plan, timeline=(Event(at_ns=100 * MS, what="slower", changes=(change,)),))
    found = stage_figures(changed, [stream("udp", 0)], [happening("slower", 100)])
    (figure,) = [each for each in found if each.title == "One-way delay of udp"]
    assert "configured delay 20 ms / 60 ms" in words(figure)
    rows = csv.DictReader(io.StringIO(json.loads(figure.charts[0].specification)["data"]["values"]))
    level = [(float(row["x"]), float(row["y"])) for row in rows if row["mark"] == "1"]
    assert level[:2] == [(0, 20), (0.1, 60)]
    assert level[-1][1] == 60


def test_events_within_the_stage_are_marked(plan, stream):
    timeline = [happening("link down", 100), happening("link up", 105), happening("before", -1)]
    figures = [*stage_figures(plan, [stream("udp", 0)], timeline)]
    over_time = [figure for figure in figures if "time since" in words(figure)]
    assert len(over_time) == 2
    for figure in over_time:
        svg = ET.fromstring(figure.charts[0].svg)  # noqa: S314  # our own
        labels = {
            each.text: float(re.split(r"[ ,()]", str(each.get("transform")))[2])
            for each in svg.iter(f"{NS}text")
            if each.get("fill") == "var(--event)"
        }
        assert labels.keys() == {"link down", "link up"}
        assert labels["link down"] != labels["link up"], "labels that would overlap are on rows of their own"


@pytest.mark.parametrize(("names", "labelled"), [(6, True), (7, False)])
def test_what_a_program_reports_shows_events_with_their_labels_unless_it_is_much(plan, make, names, labelled):
    lines = [
        {
            "node": "server",
            "event": "sample",
            "at_ns": START + number * MS,
            "data": {f"n{each}": number for each in range(names)},
        }
        for number in (0, 50, 200)
    ]
    (figure,) = stage_figures(plan, [make("report", *lines)], [happening("link down", 100)])
    assert len(figure.charts) == names
    assert all("link down" in chart.specification for chart in figure.charts)
    assert ("| link down" in words(figure)) is labelled


@pytest.fixture
def crowded(plan):
    """The plan, with the nodes that flows of a crowd come from."""
    clients = (replace(plan.node("client"), name=f"c{number:02}") for number in range(200))
    return replace(plan, nodes=(*plan.nodes, *clients))


@pytest.fixture
def crowd(make):
    """Thirty flows that differ in nothing but their source and how fast they are."""

    def made(count=30, kind="tcp-stream"):
        flows = []
        for number in range(count):
            heard = {"event": "bytes", "node": "server", "start_ns": START, "bucket_ns": 100 * MS}
            heard["bytes"] = encode([12_500 * (number + 1)] * 20)
            info = tcp_info(rtt_ns=[(40 + number) * MS] * 9, cwnd=[10 + number] * 9)
            flow = make(f"c{number:02}", heard, info, source=f"c{number:02}", parameters={"duration_ns": 10**9})
            flow.workload = replace(flow.workload, kind=kind)
            flows.append(flow)
        return flows

    return made


def test_similar_flows_share_a_figure_with_their_sum(crowded, crowd):
    found = [*stage_figures(crowded, crowd())]
    assert titles(found) == ["Goodput of c00 … c29", "TCP sender of c00 … c29"]
    each, total = found[0].charts
    assert each.label == "goodput of each, mbit/s"
    assert max(values(each)) == 30
    assert total.label == "sum of the 30 of c00 … c29, mbit/s"
    assert max(values(total)) == pytest.approx(sum(range(1, 31)), rel=1e-3)
    round_trip = found[1].charts[0]
    assert (min(values(round_trip, "low")), max(values(round_trip, "high"))) == (40, 69)


def test_few_flows_are_shown_one_by_one(crowded, crowd):
    assert titles(stage_figures(crowded, crowd(2))) == [
        "Goodput of c00 and c01",
        "TCP sender of c00",
        "TCP sender of c01",
    ]


def test_many_flows_do_not_make_a_page_large(crowded, crowd):
    figures = [*stage_figures(crowded, crowd(200))]
    assert sum(len(chart.svg) + len(chart.specification) for figure in figures for chart in figure.charts) < 1_500_000


@pytest.fixture
def summaries():
    def summary(name, **values):
        return Summary(workload=name, kind="brand-new", values=values, missing={})

    return summary


def test_how_soon_the_first_byte_arrives(plan, summaries):
    plan = replace(plan, stages=(tuple(replace(plan.workloads[0], name=name) for name in ("tcp", "udp", "none")),))
    tcp, udp = summaries("tcp", setup_ns=40 * MS, first_byte_ns=60 * MS), summaries("udp", first_byte_ns=20 * MS)
    (figure,) = start(plan, [tcp, udp, summaries("none", first_byte_ns=None)])
    assert figure.title == "How soon the first byte arrives"
    assert start_values(figure) == [("tcp", 0, 40), ("tcp", 40, 60), ("udp", 0, 20)]
    assert "none" not in words(figure)
    assert [*start(plan, [tcp])] == []


def start_values(figure):
    rows = json.loads(figure.charts[0].specification)["data"]["values"]
    return [(row["name"], row["from"], row["to"]) for row in rows]
