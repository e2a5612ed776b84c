"""A sweep that has all its runs, or what goes wrong before there is a lab; labs are up in tests/live/test_sweep.py."""

import pytest

from testbed.errors import LabError
from testbed.runtime import state
from testbed.sweep import SweepObserver, carry_out, measures
from testbed.sweep.making import runtime_of

LOSS = "links[0].loss=0%,1%"


class Heard(SweepObserver):
    def __init__(self):
        self.said = []

    def planned(self, done, total):
        self.said.append((done, total))

    def started(self, *_):
        raise AssertionError("nothing is to be run")


def test_existing_runs_are_not_repeated(make, keep, tmp_path):
    matrix = make(LOSS)
    directory = tmp_path / "sweeps" / matrix.identifier
    for trial in matrix.trials(2):
        keep(trial, directory, 1e6)
    heard = Heard()
    outcome = carry_out(matrix, tmp_path, repeat=2, measures=measures(matrix.plan), observer=heard)
    assert heard.said == [(4, 4)]
    assert not outcome.missing
    assert (directory / "sweep.json").is_file()


def test_runs_of_more_repetitions_than_wanted_stay_out(make, keep, tmp_path):
    matrix = make(LOSS)
    for trial in matrix.trials(3):
        keep(trial, tmp_path / "sweeps" / matrix.identifier, 1e6)
    outcome = carry_out(matrix, tmp_path, repeat=2, measures=measures(matrix.plan), observer=Heard())
    assert len(outcome.runs) == 4


def test_only_one_command_may_be_at_a_sweep(make, tmp_path):
    matrix = make(LOSS)
    with state.locked(matrix.identifier, "sweeping"), pytest.raises(LabError, match="lab-busy"):
        carry_out(matrix, tmp_path, repeat=1, measures=measures(matrix.plan), observer=Heard())


def test_all_runs_have_the_runtime_of_the_first_unless_the_file_names_machines(file, make, keep, tmp_path):
    text = file.read_text()
    for hosts, runtime in (("", "netns"), ("hosts: {east: 'ssh://east'}\n", "auto")):
        file.write_text(hosts + text)
        matrix = make(LOSS)
        first, second = matrix.trials(1)
        assert runtime_of(first, matrix, {}) == "auto"
        assert runtime_of(second, matrix, {("x", 1): keep(first, tmp_path, 1e6)}) == runtime
