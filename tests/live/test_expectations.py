"""Expectations of a file decide how `testbed run` ends."""

import json
from xml.etree import ElementTree as ET

import pytest

from tests.live.command_line import run

pytestmark = [pytest.mark.live, pytest.mark.netns]

TEXT = """
name: expecting
nodes: {a: , b: }
links: [{between: [a, b], delay: 5ms}]
workloads:
  - {name: one, kind: ping, from: a, to: b, count: 3}
  - {name: two, kind: udp-stream, from: a, to: b, rate: 8kbit, size: 1KB, duration: 1s}
expect:
  - one.latency.min >= 10ms
  - one.latency.min < 10ms
  - two.jitter < 1s
"""


def test_one_that_does_not_hold_is_told_and_ends_with_1(lab_name, tmp_path):
    file, xml = tmp_path / "expecting.yml", tmp_path / "junit.xml"
    file.write_text(TEXT)
    options = ["--name", lab_name, "--runtime", "netns", "--results", str(tmp_path), "--junit", str(xml)]
    done = run("run", str(file), "--no-check", *options, lab=lab_name)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == ""
    held, failed, untold = (next(line for line in done.stdout.splitlines() if each in line) for each in _expected())
    assert held.rstrip().endswith("  met")
    assert failed.rstrip().endswith(" NOT met")
    assert "undecided" in untold
    kept = json.loads((tmp_path / "latest" / "run.json").read_text())
    assert [one["passed"] for one in kept["outcomes"]] == [True, False, False]
    assert len(ET.parse(xml).findall(".//failure")) == 2  # noqa: S314  # our own


def test_one_whose_workload_was_not_run_is_left_out(lab_name, tmp_path):
    file = tmp_path / "expecting.yml"
    file.write_text(TEXT.replace("  - one.latency.min < 10ms\n", ""))
    options = ["--name", lab_name, "--runtime", "netns", "--results", str(tmp_path), "--only", "one"]
    done = run("run", str(file), "--no-check", *options, lab=lab_name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 not evaluated" in done.stdout


def _expected():
    return "one.latency.min >= 10 ms", "one.latency.min < 10 ms", "two.jitter < 1 s"
