"""A small sweep with labs, interrupted and gone on with; and one with a cell that fails."""

import json
import os
import signal
import threading

import pytest

from testbed import sweep
from testbed.lab import Lab
from testbed.sweep import SweepObserver
from tests.conftest import remains
from tests.live.command_line import WAIT_S, begin, eventually, processes, run

pytestmark = [pytest.mark.live, pytest.mark.netns]

TEXT = """
name: swept
nodes: {a: , b: }
links: [{from: a, to: b, delay: 5ms}]
workloads: [{name: flow, kind: tcp-stream, from: a, to: b, duration: 500ms}]
sweep:
  set: {'links[0].delay': [5ms, 20ms]}
  repeat: 1
"""


@pytest.fixture
def options(tmp_path, lab_name):
    file = tmp_path / "swept.yml"
    file.write_text(TEXT)
    # A rate that needs no care of the machine's; names of labs begin with that of the sweep.
    return [str(file), "--set", "links[0].rate=20mbit", "--name", lab_name[:20], "--results", str(tmp_path)]


def whole(tmp_path):
    """The runs that are there, without the link to the latest."""
    return [file.parent for file in tmp_path.glob("sweeps/*/*-[0-9]/*/run.json") if not file.parent.suffix]


def test_a_sweep_that_was_interrupted_goes_on(options, tmp_path, lab_name):
    command = ["sweep", *options, "--runtime", "netns", "--set", "workloads.flow.congestion=reno,cubic"]
    first = begin(*command, lab=lab_name)
    assert eventually(lambda: whole(tmp_path) or first.poll() is not None, WAIT_S)
    another = "sweeps/*/*-[0-9]/*.partial"
    assert eventually(lambda: [*tmp_path.glob(another)] or first.poll() is not None, WAIT_S)
    first.send_signal(signal.SIGINT)
    said, errors = (text.decode() for text in first.communicate(timeout=WAIT_S))
    assert (first.returncode, errors.split()[0]) == (130, "interrupted"), said
    kept = whole(tmp_path)
    assert f"stopped: {len(kept)} of 4 runs exist" in said
    [half] = tmp_path.glob("sweeps/*/sweep.json")
    described = json.loads(half.read_text())
    assert described["missing"] == 4 - len(kept)
    labs = [cell["lab"] for cell in described["cells"]]
    assert [remains(lab) for lab in labs] == [[]] * 4
    assert eventually(lambda: not processes(lab_name))

    done = run(*command, lab=lab_name)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: a link too slow, on a machine with much to do
    assert f"{len(kept)} of the runs exist already" in done.stdout
    assert {*kept} < {*whole(tmp_path)}
    assert len(whole(tmp_path)) == 4
    described = json.loads(half.read_text())
    assert described["missing"] == 0
    assert len({run["seed"] for cell in described["cells"] for run in cell["runs"]}) == 1
    for cell in described["cells"]:
        assert cell["estimates"]["flow.goodput"]["mean"] > 0
        assert cell["estimates"]["flow.goodput"]["interval"] is None
    assert half.with_name("sweep.html").is_file()
    assert [remains(lab) for lab in labs] == [[]] * 4


def test_a_cell_that_fails_does_not_stop_the_others(options, tmp_path, lab_name):
    command = ["sweep", *options, "--runtime", "netns", "--set", "links[0].delay=5ms"]
    done = run(*command, "--set", "workloads.flow.congestion=reno,nosuch", lab=lab_name)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "runs-failed: 1 run failed: congestion nosuch (repetition 1)" in done.stderr
    assert "nosuch" in done.stderr
    assert len(whole(tmp_path)) == 1
    assert len(list(tmp_path.glob("sweeps/*/*/*.incomplete"))) == 1
    [described] = (json.loads(file.read_text()) for file in tmp_path.glob("sweeps/*/sweep.json"))
    assert [len(cell["runs"]) for cell in described["cells"]] == [1, 0]
    assert [remains(cell["lab"]) for cell in described["cells"]] == [[], []]


def test_ctrl_c_while_a_lab_is_taken_down_ends_the_sweep(tmp_path, lab_name):
    file = tmp_path / "swept.yml"
    file.write_text(TEXT.replace("tcp-stream", "ping").replace("duration: 500ms", "count: 1"))
    matrix = sweep.matrix(file, [], name=lab_name[:20], runtime="netns")

    def interrupt():
        eventually(lambda: whole(tmp_path), WAIT_S)  # a run is whole on disk just before its lab is taken down
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        sweep.carry_out(matrix, tmp_path, repeat=20, measures=(), observer=SweepObserver())
    thread.join()
    assert len(whole(tmp_path)) < 20
    assert [remains(cell.lab) for cell in matrix.cells] == [[], []]


def test_ctrl_c_while_a_lab_is_taken_down_is_raised_when_it_is_down(lab_name):
    lab = Lab.up("lan", name=lab_name, runtime="netns")
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))

    def down():
        timer.start()
        lab.down()
        timer.join()  # where the lab was down sooner

    with pytest.raises(KeyboardInterrupt):
        down()
    assert remains(lab_name) == []
