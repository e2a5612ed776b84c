"""The section about links over time, of records as the agent makes them."""

from dataclasses import replace

import pytest

from testbed.impairments import Bottleneck, FixedRate, Impairments, Opportunities, RateSteps
from testbed.impairments.times import Times
from testbed.records import format_line
from testbed.report.link_charts import links_over_time
from testbed.runs import LINKS_FILE, LinkRecord, RunWriter, StepStart
from testbed.runs.link_engines import LinkCounters

MS = 1_000_000
START_NS = 10**12
NAME = "client -> server on wan"


@pytest.fixture
def run(tmp_path, plan, statistics):
    """A run whose record has these lines."""

    def run(*lines, impairments=Impairments()):  # noqa: B008  # immutable
        writer = RunWriter(tmp_path, plan, runtime="netns")
        (tmp_path / LINKS_FILE).write_text("".join(lines))
        before = tuple(replace(LinkCounters.of(link), impairments=impairments) for link in statistics)
        record = LinkRecord(file=LINKS_FILE, interval_ns=100 * MS, links=1, samples=1)
        return replace(
            writer.run,
            path=tmp_path,
            link_counts=record,
            statistics_before=before,
            starts=(StepStart(start_ns=START_NS, began_ns={}),),
        )

    return run


def line(name=NAME, seconds=4, bps=1_000_000, **columns):
    """A link that carried so much, looked at ten times a second."""
    looks = range(10 * seconds + 1)
    carried = [number * bps // 80 for number in looks]
    at = [START_NS + number * 100 * MS for number in looks]
    more = {key: [value] * len(at) if isinstance(value, int) else value for key, value in columns.items()}
    packets = [count // 1000 for count in carried]
    known = {"at_ns": at, "bytes_in": carried, "bytes_out": carried, "packets_out": packets}
    return format_line("", "link", known | more, link=name)


def only(run):
    (figure,) = links_over_time(run)["figures"]
    return figure


def said(figure):
    legends = [swatch.name for chart in figure.charts for swatch in chart.legend]
    return " | ".join([figure.title, figure.note, *(chart.label for chart in figure.charts), *legends])


def limited(rate, queue_bytes=50_000):
    return Impairments(bottleneck=Bottleneck(rate=rate, queue_bytes=queue_bytes))


def test_throughput_queue_and_drops_are_shown_beside_what_is_requested(run):
    queue = [0, 20_000] * 20 + [0]
    lost = [*range(41)]
    shown = only(
        run(
            line(queued_bytes=queue, lost=lost, queue_drops=[0] * 40 + [3]),
            impairments=limited(FixedRate(bps=1_200_000)),
        )
    )
    words = said(shown)
    for word in (NAME, "throughput, mbit/s", "rate 1.2 mbit/s", "queue, KB", "limit 50 KB", "lost", "queue full"):
        assert word in words
    assert [chart.label.partition(",")[0] for chart in shown.charts] == ["throughput", "queue", "packets dropped per s"]


def test_without_queue_and_drops_there_is_the_throughput_alone(run):
    shown = only(run(line(queued_bytes=0, lost=0)))
    assert len(shown.charts) == 1
    assert "rate" not in said(shown)


def test_a_rate_far_above_is_told_in_words(run):
    shown = only(run(line(bps=100_000), impairments=limited(FixedRate(bps=10**9))))
    assert shown.note == "Its rate 1 gbit/s is far above."
    assert "rate 1 gbit/s" not in [swatch.name for chart in shown.charts for swatch in chart.legend]


@pytest.mark.parametrize(
    "trace",
    [
        RateSteps(starts_ns=(0, 500 * MS), rates_bps=(2_000_000, 500_000), period_ns=1000 * MS),
        Opportunities(times_ns=Times(range(0, 1000 * MS, 12 * MS)), frame_bytes=1500, period_ns=1000 * MS),
    ],
    ids=["steps", "opportunities"],
)
def test_a_trace_is_drawn_as_it_changes(run, trace):
    shown = only(run(line(), impairments=limited(trace)))
    assert "rate by trace, " in said(shown)
    assert shown.charts[0].specification.count('"y"') > 1
    levels = [swatch for swatch in shown.charts[0].legend if swatch.symbol == "dotted"]
    assert len(levels) == 1


def test_the_table_has_the_growth_of_each_counter(run):
    found = links_over_time(run(line(queued_bytes=700, lost=[5] * 40 + [9])))
    assert found["head"] == ["link", "packets out", "bytes out", "lost", "most queued"]
    assert found["lines"] == [[NAME, "500", "500 KB", "4", "700 B"]]


def test_of_a_thousand_links_the_busiest_are_shown_and_the_others_summed(run):
    lines = [line(f"n{number} -> hub on wan", bps=8000 * (number + 1)) for number in range(1000)]
    found = links_over_time(run(*lines))
    note, *figures = found["figures"]
    assert "(994)" in note
    assert [figure.title for figure in figures] == [f"n{number} -> hub on wan" for number in range(999, 993, -1)]
    assert len(found["lines"]) == 21
    assert found["lines"][-1][0] == "980 more"
    drawn = sum(len(chart.svg) + len(chart.specification) for figure in figures for chart in figure.charts)
    assert drawn < 300_000


def test_a_record_that_is_damaged_is_reported_on_the_page(run):
    (text,) = links_over_time(run(line()[:50]))["figures"]
    assert "can't be shown" in text


def test_a_run_without_a_record_or_traffic_has_no_section(run):
    empty = run()
    assert links_over_time(empty)["figures"] == []
    assert links_over_time(replace(empty, link_counts=None))["figures"] == []
