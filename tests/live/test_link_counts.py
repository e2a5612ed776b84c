"""The record of links' counters of a run, beside what workloads and tcpdump's counts say of the same packets."""

from itertools import pairwise

import pytest

from testbed import records, topology
from testbed.lab import Lab
from tests.counting import counted

pytestmark = [pytest.mark.live, pytest.mark.netns]

S = 10**9
QUEUE_BYTES = 50_000
RATE_BPS = 2_000_000
TEXT = f"""
name: counted
seed: 3
nodes: {{a: , b: }}
links: [{{from: a, to: b, delay: 5ms, rate: {RATE_BPS // 1000}kbit, queue: {QUEUE_BYTES}B}}]
capture: {{nodes: [b]}}
workloads:
  - {{name: flood, kind: udp-stream, from: a, to: b, rate: 4mbit, size: 1000B, duration: 3s}}
"""


@pytest.mark.parametrize("engine", ["userspace", pytest.param("netem", marks=pytest.mark.netem)])
def test_the_record_agrees_with_what_was_sent_captured_and_dropped(engine, lab_name, tmp_path):
    with Lab.up(topology.loads(TEXT, "counted.yml"), name=lab_name, runtime="netns", engine=engine) as lab:
        run = lab.run(tmp_path, check=False)
    assert run.link_counts is not None
    rows = [*run.samples("a -> b")]
    first, last = rows[0], rows[-1]
    assert [row["at_ns"] for row in rows] == sorted(row["at_ns"] for row in rows)

    (link,) = run.statistics_after
    now = counted(link.counts)
    for name in ("packets_out", "bytes_out", "queue_drops"):
        assert last[name] == getattr(now, name)
    (capture,) = [each for each in run.captures if each.node == "b"]
    assert last["packets_out"] - first["packets_out"] <= capture.packets  # and what b sent
    assert last["queue_drops"] - first["queue_drops"] == run["flood"].number("lost")

    # While the queue is full, the link passes its rate, and as much waits as it may.
    filled = [row for row in rows if row["queued_bytes"] > QUEUE_BYTES // 2]
    assert max(row["queued_bytes"] for row in rows) <= QUEUE_BYTES
    assert len(filled) > 1  # on a slow machine links are looked at less often
    seconds = (filled[-1]["at_ns"] - filled[0]["at_ns"]) / S
    passed_bps = 8 * (filled[-1]["bytes_out"] - filled[0]["bytes_out"]) / seconds
    assert RATE_BPS / 2 < passed_bps < 1.05 * RATE_BPS  # less where the machine stands still for a while
    assert all(later["bytes_out"] >= earlier["bytes_out"] for earlier, later in pairwise(rows))

    assert {type(event) for event in records.read(run.path / run.link_counts.file)} == {records.LinkCounts}
