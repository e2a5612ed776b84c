"""Why a run can't be replayed, told before anything is brought up."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from testbed.cli import cli
from testbed.errors import MachineError, UsageError
from testbed.plan import resolve
from testbed.runs import RunWriter
from testbed.topology import loads

TEXT = "name: x\nseed: 3\nnodes: {a: , b: }\nlinks: [{between: [a, b], delay: 5ms}]\n"


@pytest.fixture
def made(tmp_path):
    with RunWriter(tmp_path, resolve(loads(TEXT, "file.yml")), runtime="docker") as writer:
        pass
    return writer.run.path


def change(path: Path, edit):
    data = json.loads((path / "run.json").read_text())
    edit(data)
    (path / "run.json").write_text(json.dumps(data))


def replay(path):
    return CliRunner().invoke(cli, ["replay", str(path)]).exception


def test_a_run_that_is_not_whole(made):
    change(made, lambda data: data.update(status="failed", error="made up"))
    error = replay(made)
    assert isinstance(error, UsageError)
    assert (error.code, "made up" in error.message) == ("run-incomplete", True)


def test_a_plan_that_was_changed(made):
    change(made, lambda data: data["plan"]["links"][0].update(seed=1))
    error = replay(made / "run.json")
    assert isinstance(error, UsageError)
    assert "digest" in error.message


def test_replay_on_a_machine_without_the_runs_engine_names_the_options(made, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    error = replay(made)
    assert isinstance(error, MachineError)
    assert "--runtime auto and --engine auto" in error.__notes__[0]


def test_an_export_is_named_after_the_run(made, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["export", "x", "--results", str(tmp_path)])
    assert (done.exit_code, done.output) == (0, f"x-{made.name}.zip\n")
    assert (tmp_path / f"x-{made.name}.zip").is_file()
    assert (made / "report.html").is_file()
