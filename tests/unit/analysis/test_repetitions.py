"""What runs of one plan say together."""

import json
from dataclasses import replace

import pytest

from testbed.analysis.repetitions import Repetitions, failures
from testbed.errors import UsageError
from testbed.expectations import parse
from testbed.runs import RunWriter


@pytest.fixture
def made(tmp_path, plan, make_check, voice, statistics):
    """Runs in which `voice` had these goodputs, and was expected to have 90 bit/s or more."""

    def made(*goodputs):
        expecting = replace(plan, expectations=(parse("voice.goodput >= 90bit", {"voice": "udp-stream"}),))
        runs = []
        for goodput in goodputs:
            with RunWriter(tmp_path, expecting, runtime="netns") as writer:
                writer.checked([make_check()])
                writer.begun(statistics)
                writer.ended(replace(voice, values={**voice.values, "goodput_bps": goodput}, missing={}))
                writer.finished(statistics, ())
            runs.append(writer.run)
        return Repetitions(runs=tuple(runs))

    return made


def test_the_mean_has_an_interval_from_three_runs_on(made):
    two, five = made(100, 104)["voice.goodput"], made(100, 102, 98, 101, 99)["voice.goodput"]
    assert (two.mean, two.interval) == (102, None)
    assert five.mean == 100
    # Student's t with four degrees of freedom, 2.776, by the standard error: 1.581 / sqrt(5)
    assert five.interval == pytest.approx((100 - 1.963, 100 + 1.963), abs=0.03)


def test_metrics_that_vary_have_rows_and_the_others_are_named_with_their_values(made):
    runs = made(100, 200)
    assert runs.rows() == [("voice.goodput", "150 bit/s", "", "100 bit/s to 200 bit/s")]
    assert any(one.startswith("voice.sent ") for one in runs.same())
    assert not any(one.startswith("voice.goodput") for one in runs.same())


def test_one_run_that_is_not_as_expected_is_told_with_its_number(made):
    runs = made(100, 80, 95)
    assert not runs.as_expected
    assert runs.failures == ["voice.goodput >= 90 bit is not met in 1 of 3 runs: repetition 2 (80 bit/s)"]
    assert failures({7: runs.runs[0]}) == []
    assert made(100, 90).as_expected


def test_json_has_each_run_and_the_estimates_in_the_units_of_the_metrics(made):
    runs = made(100, 102, 98)
    found = json.loads(json.dumps(runs.to_json()))
    assert [one["path"] for one in found["runs"]] == [str(run.path) for run in runs]
    goodput = found["estimates"]["voice.goodput"]
    assert (goodput["unit"], goodput["mean"], goodput["values"]) == ("bit/s", 100, [100, 102, 98])
    assert goodput["interval"] == pytest.approx(list(runs["voice.goodput"].interval))


def test_an_unknown_metric_is_an_error_with_those_that_exist(made):
    with pytest.raises(UsageError, match=r"no run has voice\.godput\n  hint: they have: .*voice\.goodput"):
        made(100)["voice.godput"]


def test_a_notebook_shows_the_estimates(made):
    html = made(100, 102, 98)._repr_html_()
    assert "<td>voice.goodput</td><td>100 bit/s</td>" in html
    assert repr(made(100, 80)) == "<2 runs, not as expected>"
