"""A run over links that are for some packets only: events, fragments, results and reports."""

import re

import pytest
from click.testing import CliRunner

from testbed.cli import cli
from testbed.lab import Lab
from testbed.topology import loads
from tests.conftest import unused_name

TOPOLOGY = """
name: matches
nodes: {client: , server: }
links:
  - {between: [client, server], match: {protocol: udp, port: 53}, loss: 100%}
  - {between: [client, server], match: {protocol: icmp}, delay: 10ms}
  - {between: [client, server], delay: 20ms}
workloads:
  - together:
      - {name: ping, kind: ping, from: client, to: server, count: 40, interval: 50ms}
      - {name: rpc, kind: udp-rr, from: client, to: server, count: 30}
timeline:
  - {at: 1s, link: {between: [client, server], match: {protocol: icmp}}, delay: 60ms}
expect:
  - ping.latency.min >= 20ms
  - ping.latency.max >= 120ms
  - rpc.latency.min >= 40ms
"""

DATAGRAMS = 100
SEND = f"""
import socket, time
sender = socket.socket(type=socket.SOCK_DGRAM)
for _ in range({DATAGRAMS}):
    sender.sendto(bytes(4000), ("server", 53))
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def lab():
    with unused_name() as name, Lab.up(loads(TOPOLOGY, "matches.yml"), name=name, runtime="netns") as up:
        yield up


pytestmark = pytest.mark.netns


def test_a_run_tells_links_of_one_direction_apart(lab, tmp_path):
    run = lab.run(tmp_path)
    assert run.is_whole
    assert all(outcome.passed for outcome in run.outcomes), run.outcomes
    names = ["client -> server (udp port 53)", "client -> server (icmp)", "client -> server"]
    for found in (run.checks, run.engines, run.statistics_after):
        assert [each.key.name for each in found if each.source == "client"] == names
    assert [each.what for each in run.timeline] == ["client <-> server (icmp): delay 60 ms"]
    counts = {each.key.name: each.counts.packets_in for each in run.statistics_after}
    before = {each.key.name: each.counts.packets_in for each in run.statistics_before}
    assert counts[names[1]] - before[names[1]] == 40
    assert counts[names[2]] - before[names[2]] == 30
    assert CliRunner().invoke(cli, ["report", str(run.path)]).exit_code == 0
    report = (run.path / "report.html").read_text()
    assert "client -&gt; server (icmp)" in report
    assert "icmp: 10 ms, each way" in report, "the drawing has it"
    same = CliRunner().invoke(cli, ["compare", str(run.path), str(run.path)])
    assert same.exit_code == 0, same.output


def test_only_the_first_fragment_of_a_datagram_has_ports(lab):
    """The link of the first loses all; those of all others are seen to arrive."""
    watch = "exec tcpdump -Z root -n -v -l -i eth0 ip proto 17 2>&1"
    with lab["server"].popen(["sh", "-c", watch]) as tcpdump:
        lines = iter(tcpdump)
        while "listening on" not in next(lines):
            pass
        lab["client"].run(["python3", "-c", SEND])
        offsets: list[int] = []
        while min(offsets.count(1480), offsets.count(2960)) < DATAGRAMS // 2:
            offsets += [int(offset) for offset in re.findall(r"offset (\d+), flags", next(lines))]
        tcpdump.stop()
    assert {*offsets} == {1480, 2960}


def test_the_command_changes_the_link_of_a_match(lab):
    arguments = ["impair", lab.name, "client", "server", "delay=25ms", "--match", "protocol=icmp"]
    done = CliRunner().invoke(cli, arguments)
    assert done.output == "impair  client -> server (icmp)   delay 25 ms\n"
    assert lab.link("client", "server", match="protocol=icmp").impairments.delay_ns == 25_000_000
    assert lab.link("client", "server").impairments.delay_ns == 20_000_000
    link_lines = CliRunner().invoke(cli, ["check", lab.name]).output
    assert "client -> server (icmp) delay 25 ms (file: delay 10 ms)" in link_lines
