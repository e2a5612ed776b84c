"""A sweep on three workers of Dask, each with namespaces of its own, interrupted; and with a worker that is killed."""

import json
import os
import signal

import pytest

from testbed import sweep
from tests.live.command_line import WAIT_S, eventually
from tests.live.machines import ADDRESS, Cluster, certified, children

pytestmark = [
    pytest.mark.live,
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make machines of namespaces"),
]

TEXT = """
name: spread
nodes: {a: {volumes: ["./site:/mnt:ro"]}, b: }
links: [{from: a, to: b, delay: 1ms}]
workloads:
  - {name: echo, kind: ping, from: a, to: b, count: 3, interval: 100ms}
  - {name: files, kind: command, in: a, command: [sh, ./said.sh]}
sweep:
  set: {'links[0].delay': [1ms, 2ms]}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    pytest.importorskip("distributed")
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def matrix(tmp_path, lab_name):
    file = tmp_path / "spread.yml"
    file.write_text(TEXT)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "answer").write_text('{"answer": 42}\n')
    (tmp_path / "said.sh").write_text("cat /mnt/answer\n")
    return sweep.matrix(file, name=lab_name[:20], runtime="netns")


@pytest.fixture
def options(tmp_path, matrix):
    words = [tmp_path / "spread.yml", "--name", matrix.name, "--runtime", "netns", "--results", tmp_path]
    return [str(word) for word in words]


def whole(tmp_path):
    return {file.parent for file in tmp_path.glob("sweeps/*/*-[0-9]/*/run.json") if not file.parent.suffix}


def test_ctrl_c_takes_all_labs_down_and_the_same_command_goes_on(cluster, options, matrix, tmp_path):
    first = cluster.sweep(*options, "--repeat", "2")
    assert eventually(lambda: (whole(tmp_path) and cluster.labs()) or first.poll() is not None, WAIT_S)
    os.kill(int(children(first.pid)[0]), signal.SIGINT)
    said, errors = first.communicate(timeout=WAIT_S)
    assert (first.returncode, errors.split()[0]) == (130, "interrupted"), said + errors
    assert cluster.labs() == []
    kept = whole(tmp_path)
    assert f"stopped: {len(kept)} of 4 runs exist" in said

    second = cluster.sweep(*options, "--repeat", "2")
    said, errors = second.communicate(timeout=WAIT_S)
    assert second.returncode in (0, 1), said + errors  # 1: a link too slow, on a machine with much to do
    assert f"continues: {len(kept)} of the runs exist already" in said
    assert kept < whole(tmp_path)
    assert len(whole(tmp_path)) == 4
    [described] = (json.loads(file.read_text()) for file in tmp_path.glob("sweeps/*/sweep.json"))
    assert described["missing"] == 0
    for run in whole(tmp_path):  # the files beside the topology were there too
        assert json.loads((run / "run.json").read_text())["summaries"][1]["values"]["data.answer"] == 42


def test_the_run_of_a_worker_that_is_killed_is_made_by_another_one(cluster, options, matrix, tmp_path):
    command = cluster.sweep(*options, "--repeat", "2")
    lost = cluster.workers["east2"]
    assert eventually(lambda: lost.labs() or command.poll() is not None, WAIT_S)
    lost.kill("worker")
    said, errors = command.communicate(timeout=WAIT_S)
    assert command.returncode in (0, 1), said + errors
    [again] = [line for line in errors.splitlines() if line.startswith("again")]
    assert "worker east2 (tls://198.18.200.12:" in again
    assert again.endswith("died while it made this run")
    assert eventually(lambda: not lost.labs())  # although its worker could not take it down any more
    assert cluster.labs() == []
    assert not [*tmp_path.glob("sweeps/*/.arriving")]
    assert len(whole(tmp_path)) == 4
    began = [line.split("  ")[2] for line in said.splitlines() if line.startswith("start")]
    order = [
        f"repetition {trial.repetition}, delay {trial.cell.levels['links[0].delay']}" for trial in matrix.trials(2)
    ]
    assert [*dict.fromkeys(began)] == order
    assert {line.split("  on ")[1].split()[0] for line in said.splitlines() if line.startswith("start")} == {
        "east1", "east2", "east3"
    }  # fmt: skip


def test_who_has_another_certificate_is_refused(cluster, options, tmp_path):
    command = cluster.sweep(*options, environment=certified(tmp_path))
    said, errors = command.communicate(timeout=WAIT_S)
    assert command.returncode == 3, said + errors
    assert f"no-scheduler: no Dask scheduler answers at {ADDRESS}" in errors
