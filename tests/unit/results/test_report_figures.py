"""Which figures there are follows from what was recorded, whatever the kind of the workload is called."""

from dataclasses import replace

import pytest

from testbed.endpoint.columns import encode
from testbed.plan.timeline import Change, Event
from testbed.results import Happening
from testbed.results.report.figures import stage_figures, twin_figures
from testbed.results.report.samples import Samples
from testbed.results.report.start import start
from testbed.shape import Shape
from testbed.workloads import Summary

MS = 1_000_000
START = 10**12


def titles(figures):
    return [found.get("aria-label") for figure in figures for found in figure.iter("svg")]


def words(figure):
    return " ".join(figure.itertext())


def told(workload, *lines):
    samples = Samples(workload)
    for line in lines:
        samples.add(line)
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
    (figure, *_) = [
        each
        for each in stage_figures(plan, [stream("tcp", 240), stream("udp", 0)])
        if "One-way delay of tcp and udp" in titles([each])
    ]
    dots = [each for each in figure.iter("path") if str(each.get("class")).startswith("dots")]
    assert len({each.get("class") for each in dots}) == 2
    assert len([each for each in figure.iter("polyline") if each.get("class") == "axis"]) == 1


def test_round_trips_are_below_each_other_on_the_same_axes(plan, make):
    asked = [
        make(name, sent([0, 100]), received([(0, 40), (1, 140 + late)], "client"))
        for name, late in (("a", 0), ("b", 300))
    ]
    (figure,) = [each for each in stage_figures(plan, asked) if "Response time of a and b" in titles([each])]
    assert len([each for each in figure.iter("polyline") if each.get("class") == "axis"]) == 2
    assert "Goodput" not in " ".join(titles(stage_figures(plan, asked)))


def test_messages_of_which_none_is_lost_have_no_figure_of_loss(plan, stream):
    assert titles(stage_figures(plan, [stream("udp", 0)])) == [
        "Goodput of udp",
        "One-way delay of udp",
        "Tail of the latency of udp",
    ]


def test_twins_of_different_stages_are_held_against_each_other(plan, stream):
    tcp, udp = stream("tcp", 240), stream("udp", 0)
    other = stream("other", 0, parameters={"rate_bps": 1, "size_bytes": 160})
    assert titles(twin_figures(plan, [[tcp], [udp], [other]])) == [
        "One-way delay of tcp and udp",
        "Tail of the latency of tcp and udp",
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
    assert folded.tag == "details"
    for word in ("something, ns", "its mean deviation, us"):
        assert word in words(folded)


def test_columns_of_an_unknown_event_are_drawn(plan, make):
    fan = {"node": "server", "event": "fan-speed", "at_ns": encode([START, START + MS]), "turns": encode([5, 7])}
    (figure,) = stage_figures(plan, [make("rack", fan)])
    assert titles([figure]) == ["Fan speed of rack, told by server"]
    assert "turns" in words(figure)


def happening(what, at_ms):
    at = START + at_ms * MS
    return Happening(at_ns=0, what=what, due_ns=at, begun_ns=at, done_ns=at)


def test_what_is_asked_for_follows_the_timeline(plan, stream):
    (link,) = plan.links
    change = Change(
        **dict(zip(("source", "destination", "network"), link.ends, strict=True)), shape=Shape(delay_ns=60 * MS)
    )
    changed = replace(plan, timeline=(Event(at_ns=100 * MS, what="slower", changes=(change,)),))
    (figure,) = [
        each
        for each in stage_figures(changed, [stream("udp", 0)], [happening("slower", 100)])
        if "One-way delay of udp" in titles([each])
    ]
    assert "20 ms / 60 ms, delay asked for" in words(figure)
    sample, line = [each for each in figure.iter("polyline") if each.get("class") == "level"]
    heights = {point.split(",")[1] for point in str(line.get("points")).split()}
    assert len(heights) == 2
    assert len(str(sample.get("points")).split()) == 2


def test_what_happened_is_marked_where_it_falls_into_the_stage(plan, stream):
    timeline = [happening("link down", 100), happening("link up", 105), happening("before", -1)]
    figures = [*stage_figures(plan, [stream("udp", 0)], timeline)]
    over_time = [figure for figure in figures if "time since" in words(figure)]
    assert len(over_time) == 2
    for figure in over_time:
        labels = [each for each in figure.iter("text") if "moment" in str(each.get("class"))]
        assert [each.text for each in labels] == ["link down", "link up"]
        assert len({each.get("y") for each in labels}) == 2, "labels that would overlap are on rows of their own"


@pytest.fixture
def summaries():
    def summary(name, **values):
        return Summary(workload=name, kind="brand-new", values=values, missing={})

    return summary


def test_how_soon_the_first_byte_arrives(plan, summaries):
    tcp, udp = summaries("tcp", setup_ns=40 * MS, first_byte_ns=60 * MS), summaries("udp", first_byte_ns=20 * MS)
    (figure,) = start(plan, [tcp, udp, summaries("none", first_byte_ns=None)])
    bars = [each.get("class") for each in figure.iter("rect")]
    assert bars.count("setup") == 1 + 1
    assert bars.count("wait") == 2 + 1
    assert "none" not in words(figure)
    assert [*start(plan, [tcp])] == []
