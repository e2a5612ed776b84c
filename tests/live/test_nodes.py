"""The programs of nodes while something is measured: that they run, how they ended, what they wrote."""

from __future__ import annotations

import re
import subprocess
import threading
import time

import pytest

from testbed.errors import LabError
from testbed.lab import Lab, Observer
from testbed.topology import loads
from tests.live.command_line import PATIENCE_S, begin, eventually, run
from tests.runtimes import RUNTIMES

pytestmark = pytest.mark.live

DYING = """
name: dying
nodes:
  a: {command: [sh, -c, "echo hello; while [ ! -e /tmp/LAB ]; do sleep 0.1; done; rm /tmp/LAB; echo boom; exit 3"]}
  b: {}
workloads:
  - {name: w, kind: ping, from: b, to: a, count: 600, interval: 100ms}
"""

ALLOWED = """
name: allowed
nodes:
  a:
    command: [sh, -c, "while [ ! -e /tmp/LAB ]; do sleep 0.1; done; rm /tmp/LAB; sleep 1; echo boom; exit 3"]
    may_fail: true
  b: {}
  c: {}
workloads:
  - {name: end, kind: command, in: a, command: [touch, /tmp/LAB]}
  - {name: w, kind: ping, from: b, to: c, count: 40, interval: 100ms}
capture: [a]
sockets: [a]
"""


class Once(Observer):
    """Does something as soon as a workload is under way, beside the run."""

    def __init__(self, action):
        self._action = action
        self._thread = None

    def progressed(self, stage, what, fraction, count=""):  # noqa: ARG002  # as the base class
        if stage == "run" and fraction > 0 and self._thread is None:
            self._thread = threading.Thread(target=self._action)
            self._thread.start()


LASTING = """
name: lasting
nodes:
  a: {command: [sh, -c, "echo one; echo two; exec sleep 600"]}
  b: {command: [sh, -c, "echo three; exec sleep 600"]}
workloads:
  - {name: w, kind: ping, from: b, to: a, count: 20, interval: 100ms}
"""


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    return request.param


@pytest.fixture
def up(runtime, lab_name):
    labs = []

    def bring_up(text):
        labs.append(Lab.up(loads(text.replace("LAB", lab_name), "nodes.yml"), name=lab_name, runtime=runtime))
        return labs[0]

    yield bring_up
    for lab in labs:
        lab.down()


@pytest.fixture
def pause(runtime, lab_name):
    """Pauses the node `a`, or lets it go on."""

    def set_to(lab, *, paused):
        if runtime == "docker":
            how = "pause" if paused else "unpause"
            subprocess.run(["docker", how, f"testbed-{lab_name}-a"], check=True, capture_output=True)
        else:
            lab["a"].run(["pkill", "-STOP" if paused else "-CONT", "sleep"])

    return set_to


def logs_of(results):
    return {path.name: path.read_text() for path in results.glob("*/*/logs/*")}


def test_a_program_that_dies_during_a_run_is_why_it_fails(up, lab_name, tmp_path):
    lab = up(DYING)
    dying = Once(lambda: lab["a"].run(["touch", f"/tmp/{lab_name}"]))
    with pytest.raises(LabError) as raised:
        lab.run(tmp_path, observer=dying)
    assert re.match(r"node-exited: node a: .* status 3; its last lines:\n +hello\n +boom\n", str(raised.value))
    assert logs_of(tmp_path) == {"a.log": "hello\nboom\n"}
    with pytest.raises(LabError, match="node-exited: node a"):
        lab.run(tmp_path)
    assert re.search(rf"^{lab_name} .*a.*exited", run("ps").stdout, re.MULTILINE)


def test_a_run_goes_on_when_a_program_that_may_fail_dies_and_says_so(up, lab_name, tmp_path):
    lab = up(ALLOWED)
    done = lab.run(tmp_path)
    assert done.status == "complete"
    assert "node a ended (status 3), which its may_fail allows" in done.distrust
    assert (done.path / "logs" / "a.log").read_text() == "boom\n"
    assert re.search(rf"^{lab_name} .*broken: .*\ba\b", run("ps").stdout, re.MULTILINE)
    with pytest.raises(LabError, match="node a: its program ended with status 3") as caught:
        lab.run(tmp_path)
    assert caught.value.code == "node-exited"


def test_a_program_that_has_ended_is_not_waited_for(up):
    ready = "{command: [sh, -c, 'echo boom; sleep 0.5; exit 4'], ready: {tcp: 80, timeout: 500s}}"
    begun = time.monotonic()
    with pytest.raises(
        LabError, match=r"node-exited: node a: its program ended with status 4; its last lines:\n +boom"
    ):
        up(f"name: ending\nnodes: {{a: {ready}}}\n")
    assert time.monotonic() - begun < 500


def test_nothing_is_measured_with_a_node_that_is_paused(up, lab_name, pause, tmp_path):
    lab = up(LASTING)
    pause(lab, paused=True)
    assert eventually(lambda: re.search(rf"^{lab_name} .*a \(paused\)", run("ps").stdout, re.MULTILINE))
    for measure in (lambda: lab.run(tmp_path), lab.check, lambda: lab.run_workload("w")):
        with pytest.raises(LabError, match="node-paused: node a is paused"):
            measure()
    pause(lab, paused=False)
    assert eventually(lambda: "paused" not in run("ps").stdout)
    assert lab.run(tmp_path).is_whole


def test_a_pause_during_a_run_fails_it_however_short(up, pause, tmp_path):
    lab = up(LASTING.replace("count: 20,", "count: 600,"))

    def pause_shortly():
        pause(lab, paused=True)
        pause(lab, paused=False)

    with pytest.raises(LabError, match="node-paused: node a"):
        lab.run(tmp_path, observer=Once(pause_shortly))
    assert logs_of(tmp_path) == {"a.log": "one\ntwo\n", "b.log": "three\n"}


def test_logs_are_shown_and_kept(up, lab_name, tmp_path):
    lab = up(LASTING)
    assert run("logs", lab_name, "a").stdout == "one\ntwo\n"
    assert run("logs", lab_name).stdout == "a | one\na | two\nb | three\n"
    done = run("logs", lab_name, "c")
    assert (done.returncode, done.stderr.partition("\n")[0]) == (2, "unknown-node: the lab has no node 'c'")
    assert logs_of(lab.run(tmp_path).path.parents[1]) == {"a.log": "one\ntwo\n", "b.log": "three\n"}
    with begin("logs", lab_name, "a", "--follow", lab=lab_name) as following:
        assert [following.stdout.readline() for _ in range(2)] == [b"one\n", b"two\n"]
        assert following.poll() is None
        if lab.runtime == "docker":
            subprocess.run(["docker", "kill", f"testbed-{lab_name}-a"], check=True, capture_output=True)
        else:
            lab["a"].run(["pkill", "-KILL", "sleep"])
        assert following.wait(PATIENCE_S) == 0
