"""Which cells a sweep has, in which order they are run, and with which seeds."""

import itertools

import pytest

from testbed.errors import UsageError
from testbed.sweep.matrix import MOST_CELLS

TWO = ("links[0].loss=0%,1%", "workloads.flow.congestion=reno,cubic,bbr")


def test_cells_are_all_combinations(make):
    matrix = make(*TWO)
    assert [tuple(cell.levels.values()) for cell in matrix.cells] == list(
        itertools.product(("0%", "1%"), ("reno", "cubic", "bbr"))
    )
    assert [cell.number for cell in matrix.cells] == [1, 2, 3, 4, 5, 6]
    assert [cell.topology.stages[0][0].congestion for cell in matrix.cells] == ["reno", "cubic", "bbr"] * 2
    assert len({cell.lab for cell in matrix.cells}) == 6


def test_names_of_labs_are_names(make):
    [cell] = make("links[0].delay=1ms", name="n" * 32).cells
    assert len(cell.lab) + len(str(MOST_CELLS)) - len("1") <= 32


def test_each_repetition_has_every_cell_once_and_one_seed(make):
    matrix = make(*TWO)
    trials = list(matrix.trials(4))
    parts = [trials[at : at + 6] for at in range(0, 24, 6)]
    for number, part in enumerate(parts, 1):
        assert {trial.cell.number for trial in part} == {1, 2, 3, 4, 5, 6}
        assert {trial.repetition for trial in part} == {number}
    seeds = [{trial.seed for trial in part} for part in parts]
    assert [len(each) for each in seeds] == [1, 1, 1, 1]
    assert len(set.union(*seeds)) == 4
    assert len({tuple(trial.cell.number for trial in part) for part in parts}) > 1


def test_order_and_seeds_are_the_same_each_time_and_go_on_with_more_repetitions(make):
    keys = [trial.key for trial in make(*TWO).trials(5)]
    assert keys[:12] == [trial.key for trial in make(*TWO).trials(2)]
    assert keys[0] != next(make(*TWO, seed=4).trials(1)).key


def test_another_file_or_option_that_means_something_is_another_sweep(make, file):
    same = make(*TWO).identifier
    assert make(*TWO).identifier == same
    assert make("links[0].loss=0%,2%", TWO[1]).identifier != same
    assert make(TWO[0]).identifier != same
    assert make(*TWO, seed=4).identifier != same
    assert make(*TWO, runtime="netns").identifier != same
    file.write_text(file.read_text().replace("10ms", "11ms"))
    assert make(*TWO).identifier != same
    file.write_text(file.read_text().replace("11ms", "10ms") + "description: nothing new  # at all\n")
    assert make(*TWO).identifier == same


def test_an_option_overrides_the_files_own_factor_of_the_same_path(make, file):
    file.write_text(f"{file.read_text()}sweep: {{set: {{'links[0].loss': [0%, 1%], 'links[0].delay': [1ms]}}}}\n")
    assert make().factors == {"links[0].loss": ("0%", "1%"), "links[0].delay": ("1ms",)}
    assert make("links[0].loss=5%", "links[0].jitter=0,1ms").factors == {
        "links[0].loss": ("5%",),
        "links[0].delay": ("1ms",),
        "links[0].jitter": ("0", "1ms"),
    }


@pytest.mark.parametrize(
    ("sets", "code"),
    [
        ((), "nothing-to-sweep"),
        (("links[0].loss=0%", "links[0].loss=1%"), "duplicate-setting"),
        (("links[0].loss=1%,1.0%",), "no-difference"),
        (("description=one,two",), "no-difference"),
        (tuple(f"links[0].{key}=1%,2%,3%,4%,5%,6%" for key in ("loss", "corrupt", "duplicate", "reorder")), "too-many"),
        (("workloads=[]",), "no-workloads"),
    ],
)
def test_an_invalid_sweep_is_an_error(make, sets, code):
    with pytest.raises(UsageError, match=code):
        make(*sets)


def test_faults_of_all_cells_are_reported_together_and_each_once(make):
    with pytest.raises(UsageError) as caught:
        make("links[0].loss=0%,7,8", "workloads.flow.duration=1s,2,3s")
    assert [line.split(": ")[0] for line in str(caught.value).splitlines() if not line.startswith("  hint")] == [
        "--set 'links[0].loss=0%,7,8':1:18",
        "--set 'links[0].loss=0%,7,8':1:20",
        "--set workloads.flow.duration=1s,2,3s:1:28",
    ]
