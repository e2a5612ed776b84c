"""Several runs of one lab, from the command line and from Python."""

import json
import signal
from xml.etree import ElementTree as ET

import pytest

from testbed.lab import Lab
from testbed.runs import load
from testbed.runs.reading import whole_runs
from testbed.topology import loads
from tests.conftest import remains
from tests.live.command_line import begin, eventually, run

pytestmark = [pytest.mark.live, pytest.mark.netns]

TEXT = """
name: repeated
seed: 3
nodes: {a: , b: }
links: [{from: a, to: b, delay: 2ms, loss: 10%}]
workloads:
  - {name: voice, kind: udp-stream, from: a, to: b, rate: 400kbit, size: 100B, duration: 500ms}
  - {name: other, kind: ping, from: b, to: a, count: 2}
expect: [voice.loss == 0, voice.sent == 250]
"""


@pytest.fixture
def options(tmp_path, lab_name):
    file = tmp_path / "repeated.yml"
    file.write_text(TEXT)
    return [str(file), "--name", lab_name, "--runtime", "netns", "--no-check", "--results", str(tmp_path)]


def test_each_run_has_a_folder_and_one_that_is_not_as_expected_fails_the_command(options, tmp_path, lab_name):
    junit = tmp_path / "junit.xml"
    done = run("run", *options, "--repeat", "3", "--json", "--junit", junit, lab=lab_name)
    assert done.returncode == 1, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert [one["path"] for one in said["runs"]] == [str(path) for path in whole_runs(tmp_path / lab_name)]
    runs = [load(one["path"]) for one in said["runs"]]
    assert len({each.plan.digest for each in runs}) == 1
    assert all((each.path / "report.html").exists() for each in runs)
    sent, lost = (said["estimates"][f"voice.{name}"] for name in ("sent", "lost"))
    assert (sent["mean"], sent["values"], sent["interval"]) == (250, [250] * 3, pytest.approx([250, 250]))
    assert lost["values"] == [each["voice"].number("lost") for each in runs]
    assert not said["as_expected"]
    suites = ET.fromstring(junit.read_text())  # noqa: S314  # our own
    assert (suites.get("tests"), suites.get("failures")) == ("6", "3")
    assert remains(lab_name) == []


def test_runs_that_are_whole_stay_after_ctrl_c(options, tmp_path, lab_name):
    repeating = begin("run", *options, "--repeat", "50", lab=lab_name)
    directory = tmp_path / lab_name
    assert eventually(lambda: len(whole_runs(directory)) > 1 or repeating.poll() is not None)
    repeating.send_signal(signal.SIGINT)
    said, errors = (text.decode() for text in repeating.communicate(timeout=60))
    assert (repeating.returncode, errors.split()[0]) == (130, "interrupted"), said
    kept = whole_runs(directory)
    assert f"{len(kept)} of 50 runs, all with seed 3" in said
    assert all(load(path).is_whole for path in kept)
    assert remains(lab_name) == []


def test_from_python_the_runs_come_with_the_mean_of_each_metric(tmp_path, lab_name):
    with Lab.up(loads(TEXT, "repeated.yml"), name=lab_name, runtime="netns") as lab:
        runs = lab.repeat(2, tmp_path, only=["voice"], check=False)
    assert len(runs) == 2
    assert {summary.workload for one in runs for summary in one.summaries} == {"voice"}
    assert runs["voice.lost"].values == tuple(one["voice"].number("lost") for one in runs)
    if {link.engine for one in runs for link in one.engines} == {"userspace"}:  # the same seed, so the same losses
        assert len({one["voice"].number("lost") for one in runs}) == 1
