"""A kind of workload that another package adds: `third_party/handshake`, as pip would install it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtimes import RUNTIMES

PACKAGES = Path(__file__).parent / "third_party"
TOPOLOGY = """
name: {name}
runtime: {runtime}
nodes: {{a: , b: }}
links: [{{between: [a, b], delay: 20ms}}]
workloads: [{{name: greet, kind: handshake, from: a, to: b, count: 5}}]
expect: [greet.handshakes == 5, greet.setup >= 40ms]
"""


def said(*arguments, packages=PACKAGES):
    command = [sys.executable, "-m", "testbed", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (packages, Path.cwd())))}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_kind_of_another_package_runs_like_our_own(tmp_path, lab_name, runtime):
    file = tmp_path / "greeting.yml"
    file.write_text(TOPOLOGY.format(name=lab_name, runtime=runtime))
    done = said("run", file, "--results", tmp_path / "results", "--json", "--no-check")  # which may find a machine late
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["summaries"][0]["values"]["handshakes"] == 5
    listed = said("metrics", "handshake", "--json").stdout
    assert {each["name"] for each in json.loads(listed)} == {"setup_ns", "handshakes"}
    assert '"handshake"' in said("schema").stdout


def test_a_kind_is_unknown_where_its_package_is_not_installed(tmp_path):
    file = tmp_path / "greeting.yml"
    file.write_text(TOPOLOGY.format(name="third-party", runtime="netns"))
    done = said("validate", file, packages=tmp_path)
    assert done.returncode == 2
    assert "unknown-kind" in done.stderr


def test_a_kind_that_can_not_be_loaded_is_an_error_that_names_its_package(tmp_path):
    information = tmp_path / "broken-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[testbed.workloads]\nbroken = nowhere:KIND\n")
    done = said("validate", "lossy", packages=tmp_path)
    assert done.returncode == 3
    assert "broken-plugin: broken adds" in done.stderr
    assert "Traceback" not in done.stderr
