"""sweep.html."""

import json
import re

from testbed.report.sweep_page import figures, sweep_page, write_sweep


def goodput(trial):
    return 1e6 * (trial.repetition + trial.cell.number)


def test_one_file_that_needs_nothing_else(outcome_of):
    path = write_sweep(outcome_of(goodput, "links[0].loss=0%,1%,2%"))
    text = path.read_text()
    assert path.name == "sweep.html"
    assert "Content-Security-Policy" in text
    assert "all of them trusted" in text


def test_a_figure_per_metric_with_a_curve_per_level_and_crosses_at_runs_that_are_not_trusted(outcome_of):
    outcome = outcome_of(goodput, "links[0].loss=0%,1%", "workloads.flow.congestion=reno,bbr", distrusted=[1])
    first, *others = figures(outcome)
    assert [one.title for one in (first, *others)] == [
        "flow.goodput by links[0].loss",
        "voice.latency.p50 by links[0].loss",
        "voice.loss by links[0].loss",
    ]
    (chart,) = first.charts
    assert [one.name for one in chart.legend] == ["reno", "bbr", "a run that is not trusted"]
    assert {"0%", "1%"} <= {*re.findall(r">([^<>]+)</text>", chart.svg)}
    assert chart.svg.count('fill="var(--bad)"') == 1
    assert "1 of 12 runs are not trusted" in sweep_page(outcome)


def test_further_factors_are_small_panels(outcome_of):
    sets = (
        "links[0].loss=0%,1%",
        "workloads.flow.congestion=reno,bbr",
        "links[0].delay=1ms,2ms",
        "links[0].jitter=0,1us",
    )
    first, *_ = figures(outcome_of(goodput, *sets, repeat=1))
    assert first.columns
    assert [chart.label for chart in first.charts] == [
        "delay 1ms, jitter 0",
        "delay 1ms, jitter 1us",
        "delay 2ms, jitter 0",
        "delay 2ms, jitter 1us",
    ]


def test_before_any_run_there_is_a_page(outcome_of):
    outcome = outcome_of(lambda _: None, "links[0].loss=0%,1%")
    assert "6 of 6 runs are missing" in sweep_page(outcome)
    assert [*figures(outcome)] == []


def test_an_interval_below_zero_ends_at_a_logarithmic_axis(outcome_of):
    outcome = outcome_of(lambda trial: 10.0 ** (3 * trial.cell.number + trial.repetition), "links[0].loss=0%,1%")
    (chart,) = next(figures(outcome)).charts
    assert "logarithmic" in chart.label
    lows = [float(line.split(",")[4]) for line in json.loads(chart.specification)["data"]["values"].split("\n")[1:]]
    assert lows
    assert min(lows) > 0
