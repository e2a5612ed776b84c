"""What the runs on disk tell."""

import json

import pytest

from testbed import codec
from testbed.sweep.outcome import kept
from testbed.sweep.record import SweepRecord
from testbed.sweep.rows import head, lines, slope_text, warnings

LOSS = "links[0].loss=0.1%,1%,10%"
TWO = (LOSS, "workloads.flow.congestion=reno,bbr")


def reno(trial):
    """Exactly the inverse square root, times what differs from one repetition to the next; bbr does not care."""
    if trial.cell.levels.get("workloads.flow.congestion") == "bbr":
        return 50e6
    return 1e6 * trial.repetition / (float(trial.cell.levels["links[0].loss"].rstrip("%")) / 100) ** 0.5


def test_whole_runs_are_found_others_are_not(make, keep, tmp_path):
    matrix = make(LOSS)
    first, second, third = matrix.trials(1)
    keep(first, tmp_path, 1e6)
    keep(second, tmp_path, 1e6, error=KeyboardInterrupt())
    keep(third, tmp_path, 1e6).path.rename(tmp_path / third.cell.lab / "20261122T000000Z-dead.partial")
    assert kept(matrix, tmp_path).keys() == {first.key}


@pytest.mark.parametrize(("distrusts", "winner"), [([[], ["late"]], 0), ([["late"], []], 1), ([["late"], ["late"]], 1)])
def test_of_several_runs_of_a_trial_the_last_that_is_trusted_counts(make, keep, tmp_path, distrusts, winner):
    matrix = make(LOSS)
    trial = next(matrix.trials(1))
    runs = [keep(trial, tmp_path, 1e6 + number, distrust=why) for number, why in enumerate(distrusts)]
    assert kept(matrix, tmp_path)[trial.key].path == runs[winner].path.resolve()


def test_estimates_and_what_is_missing(outcome_of):
    outcome = outcome_of(lambda trial: None if trial.repetition == 3 and trial.cell.number == 2 else reno(trial), LOSS)
    assert [len(outcome.trials(cell)) for cell in outcome.matrix.cells] == [3, 2, 3]
    assert [trial.repetition for trial in outcome.missing] == [3]
    goodput = outcome.measures[0]
    estimate = outcome.estimate(outcome.matrix.cells[1], goodput)
    assert estimate is not None
    assert estimate.values == (1e7, 2e7)
    assert warnings(outcome) == ["1 of 9 runs are missing: loss 1% (repetition 3)"]
    assert lines(outcome)[1][:2] == ("1%", "2 of 3")


def test_slopes_are_those_of_single_repetitions(outcome_of):
    outcome = outcome_of(reno, *TWO)
    steep, flat = outcome.slopes
    assert steep.exponent.values == pytest.approx((-0.5, -0.5, -0.5))
    assert flat.exponent.mean == pytest.approx(0)
    assert slope_text(outcome, steep) == "flow.goodput ~ loss ^ -0.50 (-0.50 to -0.50), congestion reno"


def test_without_logarithms_there_is_no_slope(outcome_of):
    assert list(outcome_of(reno, "links[0].loss=1%,2%,4%").slopes) == []


def test_untrusted_runs_are_included_with_a_warning(outcome_of):
    outcome = outcome_of(reno, LOSS, distrusted=[0, 4])
    assert len(outcome.untrusted) == 2
    assert sum("not trusted" in line[1] for line in lines(outcome)) in (1, 2)
    assert all(
        len(one.values) == 3 for cell in outcome.matrix.cells if (one := outcome.estimate(cell, outcome.measures[0]))
    )
    assert warnings(outcome) == ["2 of 9 runs are not trusted; the means include them"]


def test_runs_with_different_environments_give_a_warning(make, keep, outcome_of, tmp_path):
    outcome = outcome_of(reno, LOSS, repeat=1)
    again = next(outcome.matrix.trials(1))
    keep(again, tmp_path, 1e6, runtime="docker")
    runs = kept(outcome.matrix, tmp_path)
    mixed = type(outcome)(matrix=outcome.matrix, directory=tmp_path, repeat=1, runs=runs, measures=outcome.measures)
    assert mixed.mixture == ["runs differ in runtime: docker and netns"]


def test_the_file_of_a_sweep_has_cells_runs_and_estimates(outcome_of):
    outcome = outcome_of(reno, *TWO)
    said = json.loads(outcome.write().read_text())
    assert codec.decode(said, SweepRecord) == outcome.record
    assert (len(said["cells"]), said["missing"]) == (6, 0)
    cell = said["cells"][0]
    assert [run["values"]["flow.goodput"] for run in cell["runs"]] == list(
        outcome.estimate(outcome.matrix.cells[0], outcome.measures[0]).values
    )
    assert all(
        (outcome.directory / run["path"] / "run.json").is_file() for each in said["cells"] for run in each["runs"]
    )
    assert len(said["slopes"]) == 2
    assert head(outcome)[:3] == ("loss", "congestion", "runs")
