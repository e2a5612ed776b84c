"""A run repeated from what was exported of it, elsewhere."""

import json
import shutil

import pytest

from testbed.endpoint.columns import decode
from testbed.errors import LabError
from testbed.lab import Lab
from testbed.runs import load
from testbed.topology import loads
from tests.conftest import remains
from tests.live.command_line import run
from tests.live.lateness import only_late

pytestmark = pytest.mark.live

TEXT = """
name: replayed
seed: 3
nodes: {a: , b: }
links: [{between: [a, b], delay: 5ms, loss: 5%}]
workloads:
  - {name: voice, kind: udp-stream, from: a, to: b, rate: 400kbit, size: 100B, duration: 1s}
  - {name: other, kind: ping, from: a, to: b, count: 3}
"""


def arrived(path):
    """The sequence numbers that arrived, in order."""
    records = map(json.loads, (path / "samples" / "voice.jsonl").read_text().splitlines())
    return [number for one in records if one["event"] == "received" for number in decode(one["seq"])]


@pytest.mark.netns
def test_an_export_is_all_that_is_needed_to_lose_the_same_packets(tmp_path, lab_name):
    topology, exported, there, here = (tmp_path / name for name in ("replayed.yml", "run.zip", "there", "here"))
    topology.write_text(TEXT)
    options = ["--name", lab_name, "--runtime", "netns", "--engine", "userspace", "--only", "voice", "--capture", "b"]
    done = run("run", topology, *options, "--results", there, lab=lab_name)
    first = load("latest", there)
    assert done.returncode == 0 or only_late(first), done.stdout + done.stderr
    lost = first.summary("voice").number("lost")
    was = arrived(first.path)
    assert run("export", first.path, "-o", exported).stdout == f"{exported}\n"
    topology.unlink()
    shutil.rmtree(there)

    done = run("replay", exported, "--results", here, "--json", lab=lab_name)
    again = load("latest", here)
    assert done.returncode == 0 or only_late(again), done.stdout + done.stderr
    assert again.plan.digest == first.plan.digest
    assert {link.engine for link in again.engines} == {"userspace"}
    assert [summary.workload for summary in again.summaries] == ["voice"]
    assert [capture.node for capture in again.captures] == ["b"]
    assert arrived(again.path) == was
    assert lost
    (compared,) = json.loads(done.stdout)
    assert compared["same_plans"]
    changes = {change["label"]: change["verdict"] for change in compared["changes"]}
    assert changes["voice.lost"] == "the same"
    assert run("report", exported, "--results", here).stdout.startswith(str(here / "imported" / lab_name))


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
            assert [each.engine for each in other.statistics()] == ["userspace", "userspace"]
            assert other.images() == old.images
        assert remains(again) == []
