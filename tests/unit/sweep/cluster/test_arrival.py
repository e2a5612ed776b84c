from dataclasses import replace
from types import SimpleNamespace

import pytest

from testbed import plan
from testbed.errors import LabError
from testbed.runs import archive
from testbed.sweep.cluster import arrival
from testbed.sweep.outcome import kept

LOSS = "links[0].loss=0%,1%"


@pytest.fixture
def come(make, keep, tmp_path):
    """Packs a run that was made elsewhere; the archive, the sweep's directory, and the trial's plan."""

    def come(**options):
        matrix = make(LOSS)
        trial = next(matrix.trials(1))
        run = keep(trial, tmp_path / "there", 1e6, **options)
        directory = tmp_path / "here"
        file = archive.export(run, arrival.arriving(directory) / "run.zip")
        wanted = plan.resolve(trial.cell.topology, lab=trial.cell.lab, seed=trial.seed)
        return SimpleNamespace(matrix=matrix, run=run, file=file, directory=directory, plan=wanted)

    return come


def test_a_run_takes_the_place_of_one_that_was_made_here(come):
    it = come()
    run = arrival.place(it.file, it.directory, it.plan)
    assert run.path == it.directory / it.run.plan.lab / it.run.path.name
    assert [*kept(it.matrix, it.directory)] == [(it.run.plan.lab, it.run.plan.seed)]
    assert (it.directory / "latest" / "run.json").samefile(run.path / "run.json")
    arrival.remove(it.directory)
    assert sorted(path.name for path in it.directory.iterdir()) == sorted([it.run.plan.lab, "latest"])


def test_what_failed_is_marked_and_no_run_of_the_sweep(come):
    it = come(error=LabError("agent-gone", "the agent has ended"))
    run = arrival.place(it.file, it.directory, it.plan)
    assert run.path.suffix == ".incomplete"
    assert not kept(it.matrix, it.directory)
    assert not (it.directory / "latest").exists()


def test_a_run_of_something_else_is_refused(come):
    it = come()
    with pytest.raises(LabError, match="wrong-run: the worker sent another run"):
        arrival.place(it.file, it.directory, replace(it.plan, seed=7))
    assert not kept(it.matrix, it.directory)


def test_what_was_left_by_a_command_that_was_killed_is_no_run(come):
    it = come()
    archive.unpack_into(it.file, it.file.parent)
    assert not kept(it.matrix, it.directory)
    assert [*arrival.arriving(it.directory).iterdir()] == []
