"""Datagrams whose header was changed on the way, by links whose bit errors no checksum tells."""

import pytest

from testbed import check
from testbed.lab import Lab
from testbed.topology import loads

pytestmark = [pytest.mark.live, pytest.mark.netns]

WRONG_CHECKSUMS = """
name: wrong-checksums
seed: 1
nodes: {a: , b: }
links: [{from: a, to: b, delay: 5ms, corrupt: 10%, rate: 5mbit}]
workloads:
  - {name: stream, kind: udp-stream, from: a, to: b, rate: 1mbit, size: 100B, duration: 400ms}
"""

TEXT = """
name: corrupted
seed: 5
nodes: {a: , b: }
links: [{between: [a, b], corrupt: {rate: 30%, checksum: fix}}]
workloads:
  - {name: stream, kind: udp-stream, from: a, to: b, rate: 1280kbit, size: 16B, duration: 200ms}
  - {name: rpc, kind: udp-rr, from: a, to: b, count: 10, size: 16B, reply: 16B, timeout: 500ms}
"""


def test_corrupted_packets_are_lost_and_told_apart_from_foreign_ones_and_duplicates(lab_name):
    with Lab.up(loads(TEXT, "corrupted.yml"), name=lab_name, runtime="netns", engine="userspace") as lab:
        stream, rpc = lab.run_workload("stream"), lab.run_workload("rpc")
    assert stream.number("sent") == 2000
    assert stream.number("corrupted") in range(300, 600)  # 30 % of all, and three bits of four are of the header
    assert rpc.number("corrupted") in range(1, 10)
    for found, late in ((stream, 0), (rpc, rpc.number("late") or 0)):  # a busy machine may answer too late
        assert found.number("lost") == (found.number("corrupted") or 0) + late
        assert [found.number(name) for name in ("strangers", "duplicates", "receiver_drops")] == [0, 0, 0]


@pytest.mark.parametrize("runtime", ["netns", pytest.param("docker", marks=pytest.mark.docker)])
def test_wrong_checksums_are_the_links_losses_and_no_full_receive_buffer(lab_name, runtime):
    with Lab.up(loads(WRONG_CHECKSUMS, "wrong.yml"), name=lab_name, runtime=runtime, engine="userspace") as lab:
        [found] = check.measure(lab.plan, lab)
        stream = lab.run_workload("stream")
    assert found.problem is None
    measured = {finding.name: finding for finding in found.findings}
    assert measured["loss"].passed
    assert 0.05 < (measured["loss"].measured or 0) < 0.15
    assert measured["rate"].passed
    assert stream.number("receiver_drops") == 0
    assert stream.number("lost") in range(20, 90)  # of 500
