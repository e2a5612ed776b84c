"""Policers and traces on real links, in a lab of network namespaces: iperf3 and the records of a run measure them."""

import json

import pytest

from testbed import records
from testbed.lab import Lab
from tests.counting import counted

pytestmark = [pytest.mark.live, pytest.mark.netns]

S, MS = 10**9, 10**6
TEXT = """
name: queues
seed: 5
nodes: {a: , b: , c: }
links:
  - {from: a, to: b, delay: {trace: delay.csv}, loss: {trace: loss.csv}}
  - {from: b, to: a, delay: 5ms}
  - {from: a, to: c, policer: {rate: 4mbit, burst: 20KB}}
workloads:
  - together:
      - {name: probe, kind: udp-stream, from: a, to: b, rate: 64kbit, size: 40B, duration: 4s}
      - {name: excess, kind: iperf3, protocol: udp, from: a, to: c, rate: 8mbit, size: 1000B, duration: 4s}
"""


def sent_and_received(path):
    """The time of sending of each message, and of the arrival of those that came, ns."""
    sent: list[int] = []
    received: dict[int, int] = {}
    for event in map(records.parse, path.read_text().splitlines()):
        match event:
            case records.Sent():
                sent.extend(event.sent_ns)
            case records.Received():
                received.update(zip(event.seq, event.received_ns, strict=True))
    return sent, received


def test_traces_begin_at_time_zero_and_a_policer_passes_its_rate(lab_name, tmp_path):
    (tmp_path / "delay.csv").write_text("time_s,delay_ms\n0,20\n1,90\n2,20\n4,20\n")
    (tmp_path / "loss.csv").write_text("0s 0%\n3s 100%\n3.5s 0\n5s 0\n")
    (tmp_path / "queues.yml").write_text(TEXT)
    with Lab.up(tmp_path / "queues.yml", name=lab_name, runtime="netns") as lab:
        done = lab.run(tmp_path / "results")
    assert all(check.passed for check in done.checks), [check.verdict for check in done.checks]
    assert any(finding.name == "policer" and finding.measured for check in done.checks for finding in check.findings)

    zero = done.starts[0].start_ns
    sent, received = sent_and_received(next((tmp_path / "results").rglob("probe.jsonl")))
    late = [received[number] - at for number, at in enumerate(sent) if 1 * S <= at - zero < 2 * S]
    assert min(late) >= 90 * MS
    early = sorted(received[number] - at for number, at in enumerate(sent) if at - zero < 0.9 * S)
    assert 20 * MS <= early[len(early) // 2] < 90 * MS
    lost = [at - zero for number, at in enumerate(sent) if number not in received]
    assert {number for number, at in enumerate(sent) if 3 * S <= at - zero < 3.4 * S}.isdisjoint(received)
    assert (
        min(lost) >= 2.5 * S
    )  # what is sent before three seconds arrives there, unless the machine is half a second late

    (excess,) = (tmp_path / "results").rglob("excess.jsonl")
    assert json.loads(excess.read_text().splitlines()[0])
    (policed,) = (counted(link.counts) for link in done.statistics_after if link.destination == "c")
    assert policed.policed > 100
    assert policed.packets_in - policed.policed == policed.packets_out
