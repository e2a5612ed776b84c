"""What `testbed init` writes into a Python project runs, and so does its test."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.live, pytest.mark.netns]


def test_a_new_topology_and_its_test_run(tmp_path, lab_name):
    (tmp_path / "pyproject.toml").touch()

    def done(*argv):
        command = [sys.executable, "-m", *argv]
        finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    done("testbed", "init")
    ran = done("testbed", "run", "./network.yml", "--name", lab_name, "--runtime", "netns", "--no-check")
    assert "download" in ran
    assert "1 passed" in done("pytest", "-q", "--testbed-require=netns")
