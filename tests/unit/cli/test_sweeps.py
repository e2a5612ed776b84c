"""The command sweep, where no lab is needed."""

import json

import pytest
from click.testing import CliRunner

from testbed import plan, sweep, topology
from testbed.cli import cli
from testbed.cli.sweeps import SweepScreen
from testbed.errors import LabError, UsageError
from testbed.runs import RunWriter
from testbed.sweep.outcome import kept
from testbed.workloads.summary import Summary

TEXT = """
name: swept
nodes: {a: , b: }
links: [{between: [a, b], delay: 10ms}]
workloads: [{name: pings, kind: ping, from: a, to: b}]
expect: [pings.latency.p50 >= 25ms]
sweep: {set: {'links[0].delay': [10ms, 20ms]}, repeat: 2}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "swept.yml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def swept(file, tmp_path):
    """A file of whose sweep all runs are there."""
    matrix = sweep.matrix(file)
    for trial in matrix.trials(2):
        planned = plan.resolve(trial.cell.topology, lab=trial.cell.lab, seed=trial.seed)
        with RunWriter(tmp_path / "sweeps" / matrix.identifier, planned, runtime="netns") as writer:
            values = {"latency_p50_ns": 2 * planned.links[0].impairments.delay_ns, "loss_ratio": 0.0}
            writer.ended(Summary(workload="pings", kind="ping", values=values, missing={}))
    return file


def test_a_failed_expectation_decides_the_exit_status_of_a_sweep(swept, tmp_path):
    shown = CliRunner().invoke(cli, ["sweep", str(swept), "--results", str(tmp_path)], standalone_mode=False)
    assert shown.return_value == 1, shown.output
    lines = [line.split() for line in shown.output.splitlines()]
    assert ["delay", "runs", "pings.latency.p50", "pings.loss"] in lines
    assert ["10ms", "2", "20", "ms", "0", "%"] in lines  # two runs have no interval
    missed = "pings.latency.p50 >= 25 ms is not met in 2 of 2 runs: repetition 1 (20 ms), repetition 2 (20 ms)"
    assert f"delay 10ms: {missed}" in " ".join(shown.output.split())
    assert "all runs exist already" in shown.output
    assert "sweep.html" in shown.output


def test_as_json_it_is_the_file_and_nothing_else(swept, tmp_path):
    shown = CliRunner().invoke(cli, ["sweep", str(swept), "--results", str(tmp_path), "--json"])
    said = json.loads(shown.output)
    directory = said.pop("path")
    assert said == json.loads((tmp_path / "sweeps" / directory.split("/")[-1] / "sweep.json").read_text())
    assert [cell["estimates"]["pings.latency.p50"]["mean"] for cell in said["cells"]] == [20_000_000, 40_000_000]


def test_other_metrics_of_existing_runs_can_be_shown(swept, tmp_path):
    arguments = ["sweep", str(swept), "--results", str(tmp_path), "--metric", "pings.loss"]
    shown = CliRunner().invoke(cli, arguments)
    assert "pings.loss" in shown.output
    assert ["delay", "runs", "pings.loss"] in [line.split() for line in shown.output.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "links[0].delay=5"], "--set 'links[0].delay=5':1:16: bad-value"),
        (["--set", "links[0].dely=5ms"], 'did you mean "delay"?'),
        (["--set", "links[0].delay"], "bad-setting"),
        (["--metric", "pings.losses"], 'did you mean "loss"?'),
    ],
)
def test_errors_are_reported_before_anything_runs(file, tmp_path, arguments, said):
    failed = CliRunner().invoke(cli, ["sweep", str(file), "--results", str(tmp_path / "kept"), *arguments])
    assert isinstance(failed.exception, UsageError)
    assert said in str(failed.exception)
    assert not (tmp_path / "kept").exists()


def test_validate_looks_at_the_values_of_a_sweep(file, capsys):
    assert CliRunner().invoke(cli, ["validate", str(file)]).exit_code == 0
    file.write_text(TEXT.replace("20ms]", "20]"))
    with pytest.raises(UsageError, match=r"swept\.yml:7:40: bad-value"):
        topology.load(file, [topology.factors(file)[0].levels[1]])
    shown = CliRunner().invoke(cli, ["validate", str(file)], standalone_mode=False)
    assert shown.return_value == 2


def test_a_sweep_that_has_all_its_runs_asks_no_worker(swept, tmp_path):
    words = ["sweep", str(swept), "--results", str(tmp_path), "--workers", "tcp://198.18.0.1:1"]
    shown = CliRunner().invoke(cli, words, standalone_mode=False)
    assert shown.return_value == 1, shown.output  # of the expectation
    assert "all runs exist already" in shown.output


def test_what_is_no_address_of_a_scheduler_is_a_wrong_command_line(file, tmp_path):
    words = ["sweep", str(file), "--results", str(tmp_path), "--workers", "here"]
    with pytest.raises(UsageError, match="bad-address: 'here' is not the address of a Dask scheduler"):
        CliRunner().invoke(cli, words, standalone_mode=False, catch_exceptions=False)


def test_the_screen_says_which_worker_makes_and_loses_a_run(swept, tmp_path, capsys):
    matrix = sweep.matrix(swept)
    first, second, *_ = matrix.trials(2)
    run = kept(matrix, tmp_path / "sweeps" / matrix.identifier)[first.key]
    with SweepScreen(matrix, sweep.measures(matrix.plan), quiet=False) as screen:
        screen.planned(0, 4)
        screen.noted("2 at tcp://198.18.0.1:8786: east, west")
        screen.started(first, 1, None, "east")
        screen.started(second, 2, None, "west")
        screen.postponed(second, "worker west died while it made this run")
        screen.finished(run)
        screen.started(second, 2, 60, "east")
        screen.failed(second, LabError("agent-gone", "the agent has ended"))
    out, err = capsys.readouterr()
    labels = [f"repetition 1, delay {each.cell.levels['links[0].delay']}" for each in (first, second)]
    assert f"start   1 of 4  {labels[0]}  on east\n" in out
    assert f"run     1 of 4  {labels[0]} on east  pings.latency.p50" in out
    assert f"again   {labels[1]}: worker west died while it made this run\n" in err
    assert f"failed  {labels[1]} on east: agent-gone: the agent has ended\n" in err
