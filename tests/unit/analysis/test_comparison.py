import json
from dataclasses import replace
from math import inf

import pytest
from click.testing import CliRunner

from testbed.analysis import comparison, formatting
from testbed.analysis.comparison import Limit
from testbed.cli import cli
from testbed.errors import UsageError
from testbed.impairments import Impairments
from testbed.runs import RunWriter


@pytest.fixture
def keep(tmp_path, plan, make_check, voice, statistics):
    """Keep a run in which `voice` had a goodput."""

    def kept(goodput, *, plan=plan, fail=None, distrust=(), **values):
        found = {**voice.values, "goodput_bps": goodput, **values}
        try:
            with RunWriter(tmp_path, plan, runtime="netns") as writer:
                writer.checked([make_check()])
                writer.begun(statistics)
                writer.ended(replace(voice, values=found, missing={}))
                if fail:
                    raise fail
                writer.finished(statistics, distrust)
        except RuntimeError:
            pass
        return writer.run.path

    return kept


@pytest.fixture
def keep_several(keep, plan):
    def kept(lab, goodputs):
        for number, goodput in enumerate(goodputs):
            path = keep(goodput, plan=replace(plan, lab=lab, seed=number))
        return path.parent

    return kept


def goodput(one, other):
    sides = comparison.side(str(one)), comparison.side(str(other))
    (found,) = (change for change in comparison.changes(*sides) if change.metric == "goodput_bps")
    return found


def other_plan(plan):
    link = replace(plan.links[0], impairments=Impairments(delay_ns=30_000_000))
    return replace(plan, links=(link,))


def test_one_run_of_each_tells_the_change_but_not_whether_it_is_chance(keep):
    found = goodput(keep(100), keep(80))
    assert (found.label, found.before, found.after, found.runs) == ("voice.goodput", 100, 80, (1, 1))
    assert found.ratio == pytest.approx(-0.2)
    assert found.interval is None
    assert found.verdict == comparison.NO_CONCLUSION


def test_a_great_change_is_told_in_full(keep_several):
    found = goodput(keep_several("a", [1, 1, 1]), keep_several("b", [40, 40, 40]))
    assert formatting.change_cells(found) == ("1 bit/s", "40 bit/s", "+3900 % (+3900 to +3900)")


def test_a_change_beyond_chance(keep_several):
    found = goodput(keep_several("a", [100, 102, 98, 101, 99]), keep_several("b", [80, 81, 79, 82, 78]))
    assert found.verdict == "lower"
    assert found.interval is not None
    assert found.interval[0] < found.difference == -20 < found.interval[1] < 0


def test_a_change_within_chance(keep_several):
    found = goodput(keep_several("a", [60, 140, 100, 90, 110]), keep_several("b", [70, 130, 100, 95, 85]))
    assert found.verdict == "no difference to be seen"


@pytest.mark.parametrize("counts", [(1, 1), (2, 2), (1, 5), (3, 2)])
def test_fewer_than_three_runs_show_both_values_and_no_change(keep_several, counts):
    found = goodput(keep_several("a", [100, 100.5, 99, 98, 97][: counts[0]]), keep_several("b", [1459] * counts[1]))
    assert found.interval is None
    assert found.verdict == comparison.NO_CONCLUSION
    before, after, change = formatting.change_cells(found)
    assert before.startswith(("100", "99"))
    assert (after, change) == ("1.46 kbit/s", "-")


@pytest.mark.parametrize("after", [[0, 0, 0], [0, 1, 0], [1e-3, 2e-3, 500]])
def test_nothing_falls_by_more_than_all_of_it(keep_several, after):
    found = goodput(keep_several("a", [100, 300, 20]), keep_several("b", after))
    assert found.interval is not None
    assert found.before is not None
    assert found.interval[0] >= -found.before


def test_nothing_before_and_something_after_is_beyond_every_limit(keep):
    found = goodput(keep(0), keep(10))
    assert found.ratio == inf
    assert found.to_json()["ratio"] is None
    assert Limit.parse("voice.goodput > 1000%").violation([found])


def test_a_missing_measurement_violates_a_limit(keep):
    found = goodput(keep(100), keep(None))
    assert found.verdict == "not measured after"
    said = Limit.parse("voice.goodput < -10%").violation([found])
    assert said is not None
    assert "undecided" in said


@pytest.mark.parametrize(
    ("limit", "violated"),
    [
        ("voice.goodput < -10%", True),
        ("voice.goodput_bps < -10 %", True),
        ("voice.goodput<-20%", False),
        ("voice.goodput <= -20%", True),
        ("voice.goodput > 5%", False),
        ("voice.goodput >= -20%", True),
    ],
)
def test_limits(keep, limit, violated):
    assert bool(Limit.parse(limit).violation([goodput(keep(100), keep(80))])) is violated


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("voice.goodput", "bad-limit"),
        ("voice.goodput < 10", "bad-limit"),
        ("goodput < 10%", "bad-limit"),
        ("voice.godput < 10%", "unknown-metric"),
        ("voice.congestion < 10%", "unknown-metric"),
    ],
)
def test_limits_that_mean_nothing_are_refused(text, code):
    with pytest.raises(UsageError) as caught:
        Limit.parse(text)
    assert caught.value.code == code


def test_a_limit_of_a_workload_that_was_not_run_is_refused(keep):
    with pytest.raises(UsageError, match=r"no run has video\.goodput"):
        Limit.parse("video.goodput < 1%").violation([goodput(keep(1), keep(1))])


def test_runs_that_are_not_whole_are_refused(keep):
    with pytest.raises(UsageError, match="run-incomplete"):
        comparison.side(str(keep(1, fail=RuntimeError("cut"))))


def test_runs_of_one_side_are_repetitions(keep, plan):
    keep(1)
    directory = keep(2, plan=other_plan(plan)).parent
    with pytest.raises(UsageError, match="not-repetitions"):
        comparison.side(str(directory))


def test_reasons_against_comparing_are_warnings(keep):
    sides = [comparison.side(str(path)) for path in (keep(1), keep(1, distrust=("too busy",)))]
    (warning,) = comparison.warnings(*sides)
    assert "is not trusted: too busy" in warning


def command(*arguments):
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)], catch_exceptions=True)


def test_command_shows_changes_and_unchanged_metrics(keep_several):
    shown = command(keep_several("a", [100, 101, 99]), keep_several("b", [80, 81, 79]))
    assert shown.exit_code == 0
    assert "-20 % (" in shown.output
    assert "The same in all runs: voice.sent" in shown.output


def test_command_draws_no_conclusion_from_one_run_each(keep):
    shown = command(keep(100), keep(1559))
    assert shown.exit_code == 0
    assert "100 bit/s" in shown.output
    assert "1.56 kbit/s" in shown.output
    assert "%" not in shown.output
    assert "No conclusion from one run each" in shown.output


def test_command_fails_by_a_limit(keep):
    shown = CliRunner().invoke(
        cli, ["compare", str(keep(100)), str(keep(80)), "--fail-if", "voice.goodput < -10%"], standalone_mode=False
    )
    assert shown.return_value == 1
    assert "voice.goodput < -10%: it changed by -20 %" in shown.output


def test_command_refuses_different_plans_without_the_option(keep, plan):
    one, other = keep(100), keep(80, plan=other_plan(plan))
    refused = command(one, other)
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.code == "different-plans"
    assert "links.client -> server on wan.impairments" in refused.exception.message
    shown = command(one, other, "--different-plans")
    assert (
        "links.client -> server on wan.impairments: delay 20 ms, loss 1.99999998 % before, delay 30 ms after"
        in shown.output
    )


def test_command_as_json(keep, plan):
    found = json.loads(command(keep(100), keep(80, plan=other_plan(plan)), "--different-plans", "--json").output)
    (one,) = found
    assert one["same_plans"] is False
    assert one["plan_differences"][0][0] == "links.client -> server on wan.impairments"
    assert {change["label"]: change["after"] for change in one["changes"]}["voice.goodput"] == 80


def test_command_writes_a_page(keep, keep_several, plan, tmp_path):
    sides = keep_several("a", [100, 102, 98, 101, 99]), keep_several("b", [80, 81, 79, 82, 78])
    third = keep(100, plan=other_plan(plan))
    file = tmp_path / "compared.html"
    shown = command(*sides, third, "--different-plans", "--html", file, "--fail-if", "voice.goodput < -10%")
    assert f"report  {file}" in shown.output
    text = file.read_text()
    assert "Content-Security-Policy" in text
    for word in (
        "A metric changed beyond its limit",
        "voice.goodput",
        "-20 % (",
        "lower",
        "no conclusion",
        "Their plans differ",
    ):
        assert word in text
    assert text.count('<div class="chart">') > 0


def test_with_json_the_path_of_the_page_goes_to_standard_error(keep, tmp_path):
    shown = command(keep(100), keep(80), "--json", "--html", tmp_path / "compared.html")
    assert json.loads(shown.stdout)
    assert "compared.html" in shown.stderr
