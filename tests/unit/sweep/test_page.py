"""sweep.html."""

import re
from xml.etree import ElementTree as ET

from testbed.sweep import write
from testbed.sweep.page import page

NS = "{http://www.w3.org/2000/svg}"


def goodput(trial):
    return 1e6 * (trial.repetition + trial.cell.number)


def drawings(text):
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]  # noqa: S314  # our own


def test_one_file_that_needs_nothing_else(outcome_of):
    path = write(outcome_of(goodput, "links[0].loss=0%,1%,2%"))
    text = path.read_text()
    assert path.name == "sweep.html"
    for word in ("<script", "http://", "https://", "src=", "<link"):
        assert word not in text
    assert "all of them trusted" in text


def test_a_figure_per_metric_with_a_curve_per_level_and_crosses_at_runs_that_are_not_trusted(outcome_of):
    text = page(outcome_of(goodput, "links[0].loss=0%,1%", "workloads.flow.congestion=reno,bbr", distrusted=[1]))
    figures = [svg for svg in drawings(text) if svg.get("class") == "plot"]
    assert [svg.get("aria-label") for svg in figures] == [
        "flow.goodput by links[0].loss",
        "voice.latency.p50 by links[0].loss",
        "voice.loss by links[0].loss",
    ]
    labels = [each.text for each in figures[0].iter("text")]
    assert {"reno", "bbr", "0%", "1%", "a run that is not trusted"} <= {*labels}
    assert (
        len([path for path in figures[0].iter("path") if path.get("class") == "rug bad"]) == 2
    )  # drawn, and explained
    assert "1 of 12 runs are not trusted" in text


def test_further_factors_are_small_panels(outcome_of):
    sets = (
        "links[0].loss=0%,1%",
        "workloads.flow.congestion=reno,bbr",
        "links[0].delay=1ms,2ms",
        "links[0].jitter=0,1us",
    )
    [first, *_] = [svg for svg in drawings(page(outcome_of(goodput, *sets, repeat=1))) if svg.get("class") == "plot"]
    labels = [each.text for each in first.iter("text") if each.get("class") == "label"]
    assert labels == [
        "delay 1ms, jitter 0",
        "delay 1ms, jitter 1us",
        "delay 2ms, jitter 0",
        "delay 2ms, jitter 1us",
    ]


def test_before_any_run_there_is_a_page(outcome_of):
    text = page(outcome_of(lambda _: None, "links[0].loss=0%,1%"))
    assert "6 of 6 runs are missing" in text
    assert 'class="plot"' not in text
