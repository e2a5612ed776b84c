"""Datagrams whose header was changed on the way, by links whose bit errors no checksum tells."""

import pytest

from testbed.lab import Lab
from testbed.topology import loads

pytestmark = [pytest.mark.live, pytest.mark.netns]

TEXT = """
name: corrupted
seed: 5
nodes: {a: , b: }
links: [{between: [a, b], corrupt: {rate: 30%, checksum: fix}}]
workloads:
  - {name: stream, kind: udp-stream, from: a, to: b, rate: 1280kbit, size: 16B, duration: 200ms}
  - {name: rpc, kind: udp-rr, from: a, to: b, count: 10, size: 16B, reply: 16B, timeout: 500ms}
"""


def test_they_are_lost_and_told_apart_from_strangers_and_duplicates(lab_name):
    with Lab.up(loads(TEXT, "corrupted.yml"), name=lab_name, runtime="netns", engine="userspace") as lab:
        stream, rpc = lab.run_workload("stream"), lab.run_workload("rpc")
    assert stream.number("sent") == 2000
    assert stream.number("corrupted") in range(300, 600)  # 30 % of all, and three bits of four are of the header
    assert rpc.number("corrupted") in range(1, 10)
    for found in (stream, rpc):
        assert found.number("lost") == found.number("corrupted")
        assert [found.number(name) for name in ("strangers", "duplicates", "receiver_drops")] == [0, 0, 0]
