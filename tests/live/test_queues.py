"""Queues, policers, bursts and traces on real links, in labs of namespaces: iperf3, ping and records of runs."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import pytest

from testbed import records
from testbed.lab import Lab
from testbed.topology import loads
from tests.counting import counted
from tests.live.lateness import wrong

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
    assert wrong(done.checks) == []
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


QUEUES = {
    "droptail": "{limit: 250ms}",
    "drophead": "{limit: 250ms, discipline: drophead}",
    "codel": "{limit: 250ms, discipline: codel}",
    "marking": "{limit: 250ms, discipline: codel, ecn: true}",
    "fq-codel": "{limit: 250ms, discipline: fq_codel}",
    "pie": "{limit: 250ms, discipline: pie}",
    "red": "{limit: 250ms, discipline: red}",
    "dualpi2": "{limit: 250ms, discipline: dualpi2}",
}
PATHS = {"slow": ("2mbit", 30), "fast": ("8mbit", 10)}
"""Rate, and delay each way in ms."""

SHORT = {"codel": 0.6, "pie": 0.6, "red": 0.6, "dualpi2": 0.6, "fq-codel": 0.3}
"""What waits in a queue that is kept short, at most, of what waits with droptail; with fq_codel for other flows."""

ATTEMPTS = 3


def queues():
    nodes = ["name: queues", "nodes:", "  source: {sysctls: {net.ipv4.tcp_ecn: 1}}"]
    links = ["links:"]
    for queue, settings in QUEUES.items():
        for path, (rate, delay_ms) in PATHS.items():
            end = f"{queue}-{path}"
            nodes.append(f"  {end}: {{command: [iperf3, -s], ready: {{tcp: 5201}}}}")
            links.append(f"  - {{from: source, to: {end}, rate: {rate}, delay: {delay_ms}ms, queue: {settings}}}")
            links.append(f"  - {{from: {end}, to: source, delay: {delay_ms}ms}}")
    return "\n".join([*nodes, *links])


def loaded(lab, end):
    """What iperf3 retransmitted in six connections at once, and the time that ping spent in the queue meanwhile, ms."""
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(lab["source"].run, ["iperf3", "-J", "-c", end, "-P", "6", "-t", "6"])
        lab["source"].run(["sleep", "3"])
        shown = lab["source"].run(["ping", "-n", "-i", "0.05", "-c", "50", "-w", "3", end]).stdout
        sent = json.loads(load.result().stdout)["end"]["sum_sent"]
    times_ms = [float(found) for found in re.findall(r"time=([\d.]+) ms", shown)]
    return sent["retransmits"], median(times_ms) - 2 * PATHS[end.rpartition("-")[2]][1]


def test_each_queue_is_as_long_and_drops_or_marks_as_its_discipline_says(lab_name):
    ends = [f"{queue}-{path}" for queue in QUEUES for path in PATHS]
    with Lab.up(loads(queues(), "queues.yml"), name=lab_name, runtime="netns", engine="userspace") as lab:
        retransmits = dict.fromkeys(ends, 0)
        for _ in range(ATTEMPTS):  # on a machine that stalls, all queues look alike
            with ThreadPoolExecutor(len(ends)) as pool:
                found = dict(zip(ends, pool.map(lambda end: loaded(lab, end), ends), strict=True))
            waits = {end: waited_ms for end, (_, waited_ms) in found.items()}
            retransmits = {end: retransmits[end] + again for end, (again, _) in found.items()}
            longer = [
                (f"{queue}-{path}", waits)
                for queue, ratio in SHORT.items()
                for path in PATHS
                if waits[f"{queue}-{path}"] > ratio * waits[f"droptail-{path}"]
            ]
            if not longer:
                break
        counts = {link.destination: counted(link.counts) for link in lab.statistics() if link.source == "source"}
    assert longer == []
    assert waits["droptail-slow"] > 125, "droptail keeps its queue full"
    for end, count in counts.items():
        queue, path = end.rsplit("-", 1)
        assert (count.early_drops > 0) == (queue not in ("droptail", "drophead")), end
        assert (count.marked > 0) == (queue in ("marking", "dualpi2")), end
        if queue == "marking":
            assert count.early_drops < count.marked, end
        if queue != "marking" and count.queue_drops + count.early_drops > 10:
            assert retransmits[end] > 0, end
        if (queue, path) in (("droptail", "slow"), ("drophead", "slow")):
            assert count.queue_drops > 0, end


BURSTS = """
name: bursts
nodes: {a: , at-once: , at-peak: }
links:
  - {from: a, to: at-once, rate: {rate: 100kbit, burst: 50KB}, queue: 100KB}
  - {from: a, to: at-peak, rate: {rate: 100kbit, burst: 50KB, peak: 1mbit}, queue: 100KB}
"""


def test_a_burst_passes_faster_and_then_the_rate_holds(lab_name):
    """A ping of 1442 bytes takes 115 ms at 100 kbit/s, 11.5 ms at 1 mbit/s; a burst holds 34."""
    with Lab.up(loads(BURSTS, "bursts.yml"), name=lab_name, runtime="netns", engine="userspace") as lab:

        def pings(end, count):
            flood = ["ping", "-n", "-l", str(count), "-c", str(count), "-s", "1400", "-w", "12", end]
            shown = lab["a"].run(flood).stdout
            return {int(seq): float(ms) for seq, ms in re.findall(r"icmp_seq=(\d+) .*time=([\d.]+) ms", shown)}

        at_once, at_peak = pings("at-once", 70), pings("at-peak", 30)
    assert max(at_once[number] for number in range(1, 31)) < 1700, "without a burst 3460"
    assert at_once[70] > 2000, "36 have to wait for tokens, 4150 ms in all"
    assert 340 <= at_peak[30] < 1700
