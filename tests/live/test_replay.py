"""A run repeated from its folder, or from what was exported of it, elsewhere."""

import json
import shutil

import pytest

from testbed.endpoint.columns import decode
from testbed.errors import LabError
from testbed.lab import Lab
from testbed.results import load
from testbed.topology import loads
from tests.conftest import remains
from tests.live.command_line import run

pytestmark = [pytest.mark.live, pytest.mark.netns]

TEXT = """
name: replayed
seed: 3
nodes: {a: , b: }
links: [{between: [a, b], delay: 5ms, loss: 5%}]
workloads:
  - {name: voice, kind: udp-stream, from: a, to: b, rate: 400kbit, size: 100B, duration: 1s}
  - {name: other, kind: ping, from: a, to: b, count: 3}
"""


@pytest.fixture
def first(tmp_path, lab_name):
    """A run of one of the workloads; the topology is gone, and the run is in another place than where it was made."""
    file, made = tmp_path / "replayed.yml", tmp_path / "made"
    file.write_text(TEXT)
    options = ["--name", lab_name, "--runtime", "netns", "--engine", "userspace", "--only", "voice", "--results", made]
    done = run("run", file, *options, lab=lab_name)
    assert done.returncode == 0, done.stdout + done.stderr
    file.unlink()
    return load(made.rename(tmp_path / "moved") / "latest")


def replay(lab_name, *argv):
    done = run("replay", *argv, lab=lab_name)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def arrived(path):
    """The sequence numbers that arrived, in order."""
    records = map(json.loads, (path / "samples" / "voice.jsonl").read_text().splitlines())
    return [number for one in records if one["event"] == "received" for number in decode(one["seq"])]


def test_the_same_packets_are_lost_again(tmp_path, lab_name, first):
    shown = replay(lab_name, first.path, "--results", tmp_path / "again")
    again = load("latest", tmp_path / "again")
    assert again.path != first.path
    assert again.plan.digest == first.plan.digest
    assert again.engines[0].engine == first.engines[0].engine == "userspace"
    assert [summary.workload for summary in again.summaries] == ["voice"]
    assert arrived(again.path) == arrived(first.path)
    assert first.summary("voice").number("lost")
    same = shown.replace("\n", " ").partition("The same in all runs: ")[2]
    assert "voice.lost" in same
    assert f"before  {first.path} " in shown


def test_an_export_is_all_that_is_needed(tmp_path, lab_name, first):
    file, elsewhere = tmp_path / "run.zip", tmp_path / "elsewhere"
    assert run("export", first.path, "-o", file).stdout == f"{file}\n"
    shutil.rmtree(tmp_path / "moved")
    shown = replay(lab_name, file, "--results", elsewhere, "--json")
    (compared,) = json.loads(shown)
    assert compared["same_plans"]
    assert all("not to be trusted" in doubt for doubt in compared["doubts"])  # of a machine that is busy
    assert next(one for one in compared["changes"] if one["label"] == "voice.lost")["verdict"] == "the same"
    assert run("report", file, "--results", elsewhere).stdout.startswith(str(elsewhere / "imported" / lab_name))


def test_it_says_why_it_can_not(tmp_path, lab_name, first):
    up = run("replay", first.path, "--runtime", "docker", "--results", tmp_path, env={"DOCKER_HOST": "unix:///none"})
    assert up.returncode == 3
    assert "--runtime and --engine auto" in up.stderr
    data = json.loads((first.path / "run.json").read_text())
    (first.path / "run.json").write_text(json.dumps(data | {"status": "failed", "error": "made up"}))
    failed = run("replay", first.path)
    assert failed.returncode == 2
    assert "run-incomplete" in failed.stderr
    data["plan"]["links"][0]["seed"] += 1
    (first.path / "run.json").write_text(json.dumps(data))
    tampered = run("replay", first.path)
    assert tampered.returncode == 2
    assert "digest" in tampered.stderr


@pytest.mark.docker
def test_beside_the_first_it_has_other_addresses(tmp_path, lab_name):
    topology = loads(TEXT.partition("workloads")[0], "replayed.yml")
    with Lab.up(topology, name=lab_name, runtime="docker", engine="userspace") as lab:
        old = lab.run(tmp_path)
        assert old.images["testbed:latest"].startswith("sha256:")
        with pytest.raises(LabError, match="lab-exists"):
            Lab.up_again(old)
        again = f"{lab_name}-again"
        with Lab.up_again(load(old.path), name=again) as other:
            assert other.plan.digest == old.plan.digest
            assert other.plan.networks[0].subnet != old.plan.networks[0].subnet
            assert other["a"].run(["ping", "-c5", "-i0.2", "-W2", "b"]).status == 0
            assert [each["engine"] for each in other.statistics()] == ["userspace", "userspace"]
            assert other.images() == old.images
        assert remains(again) == []
