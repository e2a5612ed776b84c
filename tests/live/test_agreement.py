"""Our own figures beside those of iperf3 and irtt, of the same link at the same time.

Each tool has packets of its own, and the link decides about each by chance. So counts agree if one probability explains
them both: they are compared as two samples, with an error probability that a suite can live with.
"""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from math import comb
from statistics import median

import pytest

from testbed.endpoint.columns import decode
from testbed.lab import Lab, take_down
from testbed.topology import loads

TOPOLOGY = """
name: agreement
seed: 11
nodes:
  client:
  server: {command: [irtt, server]}
links: [{from: client, to: server, delay: 20ms, jitter: 6ms, loss: 3%, reorder: {rate: 5%, late: 25ms}}]
workloads:
  - together:
      - {name: ours, kind: udp-stream, from: client, to: server, rate: 320kbit, size: 160B, duration: 10s}
      - {name: iperf3, kind: iperf3, protocol: udp, from: client, to: server, rate: 320kbit, size: 160B, duration: 10s}
      - {name: irtt, kind: command, in: client, command: [irtt, client, -Q, -d, 10s, -i, 10ms, -o, -, server]}
"""
ERROR = 1e-6

pytestmark = [pytest.mark.live, pytest.mark.netns]


@pytest.fixture
def run(lab_name, tmp_path):
    if missing := [tool for tool in ("iperf3", "irtt") if not shutil.which(tool)]:
        pytest.fail(f"not installed: {', '.join(missing)}")
    try:
        yield Lab.up(loads(TOPOLOGY, "agreement.yml"), name=lab_name, runtime="netns", engine="userspace").run(tmp_path)
    finally:
        take_down(lab_name)


def irtt_statistics(run):
    lines = (run.path / "samples" / "irtt.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    said = [event["line"] for event in events if event["event"] == "output" and "stream" not in event]
    return json.loads("\n".join(said))["stats"]


def median_variation_ns(run):
    """How much the delays of two of our datagrams in a row differ (RFC 3393), at the median."""
    sent_ns: list[int] = []
    came_ns: dict[int, int] = {}
    for event in map(json.loads, (run.path / "samples" / "ours.jsonl").read_text().splitlines()):
        if event["event"] == "sent":
            sent_ns += decode(event["sent_ns"])
        elif event["event"] == "received":
            came_ns |= dict(zip(decode(event["seq"]), decode(event["received_ns"]), strict=True))
    delays_ns = {number: came - sent_ns[number] for number, came in came_ns.items()}
    return median(abs(delays_ns[n + 1] - delay) for n, delay in delays_ns.items() if n + 1 in delays_ns)


def chance(one, other):
    """Fisher's exact test, one-sided both ways: how probable it is that two counts of (found, of) differ so much."""
    (a, n), (b, m) = one, other
    total = comb(n + m, a + b)
    weights = [comb(n, k) * comb(m, a + b - k) for k in range(max(0, a + b - m), min(n, a + b) + 1)]
    here = comb(n, a) * comb(m, b)
    return sum(weight for weight in weights if weight <= here) / total


def test_loss_reordering_and_jitter_are_what_iperf3_and_irtt_find(run):
    ours, iperf3, irtt = run.summary("ours"), run.summary("iperf3"), irtt_statistics(run)
    sent = irtt["packets_sent"]
    losses = {
        "ours": (ours.number("lost"), ours.number("sent")),
        "iperf3": (iperf3.number("lost"), iperf3.number("sent")),
        "irtt": (sent - irtt["server_packets_received"], sent),
    }
    print({"losses": losses})  # noqa: T201  # for whoever looks at the figures: pytest -rA
    for one, other in combinations(losses, 2):
        assert chance(losses[one], losses[other]) > ERROR, (one, other, losses)
    late = [(each.number("reordered"), each.number("delivered")) for each in (ours, iperf3)]
    variations_ns = [median_variation_ns(run), irtt["ipdv_send"]["median"]]
    jitters_ns = [ours.number("jitter_ns"), iperf3.number("jitter_ns")]
    print({"reordered": late, "variations_ns": variations_ns, "jitters_ns": jitters_ns})  # noqa: T201
    assert min(count for count, _ in late) > 0
    assert chance(*late) > ERROR, late
    assert max(variations_ns) < 1.5 * min(variations_ns), variations_ns
    # RFC 3550's is an average over some 16 packets, so it wavers, and all the more if the machine stands still.
    assert min(jitters_ns) > min(variations_ns) / 4, jitters_ns
