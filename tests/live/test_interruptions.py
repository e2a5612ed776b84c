"""A signal at the worst moments: a lab that was just made, and that nobody holds yet, is taken down nevertheless."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.live.command_line import MARK, WAIT_S, down_twice, nothing_remains

pytestmark = [pytest.mark.live, pytest.mark.netns]

TOPOLOGY = """
name: interrupted
nodes: {a: , b: }
links: [{between: [a, b], delay: 10ms}]
workloads: [{name: ping, kind: ping, from: a, to: b, count: 1000}]
"""

MOMENTS = [
    (signal.SIGINT, "run", "_make"),
    (signal.SIGINT, "run", "_make_or_undo"),
    (signal.SIGTERM, "run", "Lab.up"),
    (signal.SIGINT, "check", "_lab"),
    (signal.SIGINT, "up", "Lab.up"),
]


@pytest.mark.parametrize(("number", "command", "function"), MOMENTS)
def test_a_signal_just_after_the_lab_is_made_leaves_nothing(tmp_path, lab_name, number, command, function):
    file = tmp_path / "interrupted.yml"
    file.write_text(TOPOLOGY)
    argv = [command, str(file), "--name", lab_name, "--runtime", "netns"]
    argv += ["--results", str(tmp_path / "results")] if command == "run" else []
    done = subprocess.run(
        [sys.executable, "-m", "tests.live.interrupted_command", str(int(number)), function, *argv],
        cwd=ROOT, env={**os.environ, MARK: lab_name}, capture_output=True, text=True, check=False, timeout=WAIT_S,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    if command == "up":  # it is done: too late to be interrupted
        assert done.returncode == 0, done.stderr
        down_twice(lab_name)
    else:
        assert done.returncode == 128 + number, done.stderr
    assert nothing_remains(lab_name)


@pytest.mark.parametrize("function", ["Lab.up", "ConnectedLab.require_nodes"])
def test_a_signal_while_links_are_measured_keeps_a_lab_that_stays_up(tmp_path, lab_name, function):
    file = tmp_path / "interrupted.yml"
    file.write_text(TOPOLOGY)
    argv = ["up", str(file), "--check", "--name", lab_name, "--runtime", "netns"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.live.interrupted_command", str(int(signal.SIGINT)), function, *argv],
        cwd=ROOT, env={**os.environ, MARK: lab_name}, capture_output=True, text=True, check=False, timeout=WAIT_S,
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert f"lab {lab_name} stays up: testbed down {lab_name} takes it down" in done.stderr
    down_twice(lab_name)
    assert nothing_remains(lab_name)


IMPORTING = """
import os, runpy, signal, sys

class Interrupting:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting)
sys.argv = ["testbed", "ps"]
runpy.run_module("testbed", run_name="__main__")
"""


def test_a_signal_while_the_command_line_is_imported_ends_it_without_a_traceback():
    argv = [sys.executable, "-c", IMPORTING]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
