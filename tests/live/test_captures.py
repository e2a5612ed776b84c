"""What a run captures, read by tcpdump and tshark: the packets that its workloads and links count, no more and no less.

A capture sees what the node's own stack hands over or takes in. A sender with segmentation offload hands over several
segments of a stream as one, so segments are counted by their bytes. Whatever tshark takes for out of order at the
sender itself was sent again, for nothing comes between; which of its four names it has depends on how soon that was.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections import Counter

import pytest

from testbed.lab import Lab
from testbed.runs import load
from testbed.topology import loads
from tests.conftest import unused_name
from tests.live.command_line import PATIENCE_S, begin, eventually, run

TOPOLOGY = """
name: captured
seed: 5
nodes: {client: {}, server: {}}
capture: [server]
links:
  - {between: [client, server], delay: 10ms, loss: 2%, rate: 100mbit}
workloads:
  - {name: upload, kind: tcp-stream, from: client, to: server, duration: 2s}
  - {name: voice, kind: udp-stream, from: client, to: server, rate: 4mbit, size: 250B, duration: 2s}
"""
SEGMENT_BYTES = 1448
"""Of data, with time stamps (RFC 7323), where the MTU is 1500."""

CLOCKS_NS = 1_000_000
"""How far the two clocks may move against each other in a run, more than NTP has them do."""

NAMES = ("retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order")
AGAIN = " or ".join(f"tcp.analysis.{name}" for name in NAMES)

pytestmark = [pytest.mark.live, pytest.mark.netns]


@pytest.fixture(scope="module", autouse=True)
def _tools():
    if missing := {tool for tool in ("tcpdump", "tshark") if not shutil.which(tool)}:
        pytest.fail(f"not installed: {', '.join(missing)}")


def read_by_tshark(file, only, *fields):
    """The fields of each packet that a display filter lets through."""
    shown = [option for field in fields for option in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-n", "-r", file, "-Y", only, "-T", "fields", *shown], capture_output=True, text=True, check=True
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def read_by_tcpdump(file, *only):
    command = ["tcpdump", "-n", "-tt", "--time-stamp-precision=nano", "-r", file, *only]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def segments(packets):
    """The sequence numbers of the segments that cross the network, given those and the lengths of what carries them."""
    return Counter(
        int(number) + at for number, length in packets for at in range(0, max(1, int(length)), SEGMENT_BYTES)
    )


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    """A run, and its captures by node."""
    root = tmp_path_factory.mktemp("results")
    topology = loads(TOPOLOGY, "captured.yml")
    with unused_name() as name, Lab.up(topology, name=name, runtime="netns", engine="userspace") as lab:
        lab.run(root, capture=["client"])
    found = load(name, root)
    return found, {capture.node: capture for capture in found.captures}


def test_the_run_tells_of_its_captures(captured):
    found, captures = captured
    assert captures.keys() == {"client", "server"}
    for node, capture in captures.items():
        assert capture.file == f"captures/{node}-lan.pcap"
        assert (found.path / capture.file).stat().st_size == capture.size_bytes
        assert (capture.dropped, capture.overwritten) == (0, 0)
        assert len(read_by_tcpdump(found.path / capture.file)) == capture.packets


def test_datagrams_are_there_when_sent_and_when_delivered(captured):
    found, captures = captured
    summary = found.summary("voice")
    for node, count in (("client", "sent"), ("server", "delivered")):
        assert len(read_by_tcpdump(found.path / captures[node].file, "udp")) == summary.number(count)
    assert summary.number("lost") > 0


def test_time_stamps_can_be_set_beside_those_of_samples(captured):
    """The first datagram: about to be sent, seen as it leaves, seen as it arrives, received."""
    found, captures = captured
    lines = [json.loads(line) for line in (found.path / "samples" / "voice.jsonl").read_text().splitlines()]
    columns = {name: line[name][0] for line in reversed(lines) for name in ("sent_ns", "received_ns") if name in line}
    left_ns, came_ns = (first_ns(found, captures[node]) for node in ("client", "server"))
    assert columns["sent_ns"] <= left_ns + CLOCKS_NS
    assert left_ns + 10_000_000 <= came_ns + CLOCKS_NS
    assert came_ns <= columns["received_ns"] + CLOCKS_NS


def first_ns(found, capture):
    """When the first datagram was captured, by CLOCK_MONOTONIC."""
    first, *_ = read_by_tcpdump(found.path / capture.file, "udp")
    seconds, nanoseconds = first.split()[0].split(".")
    begun, ended = capture.clock_offset_ns
    assert abs(begun - ended) < CLOCKS_NS
    return int(seconds) * 10**9 + int(nanoseconds) - begun


def test_retransmissions_are_those_that_tcp_counts(captured):
    """TCP_INFO's, at the sender as tshark sees them; at the receiver those of them that were not lost too."""
    found, captures = captured
    retransmits = found.summary("upload").number("retransmits")
    sender = next(node.interfaces[0].address for node in found.plan.nodes if node.name == "client")

    def seen(node, only):
        shown = f"tcp and ip.src == {sender} and ({only})"
        return segments(read_by_tshark(found.path / captures[node].file, shown, "tcp.seq", "tcp.len"))

    assert retransmits > 0
    assert seen("client", AGAIN).total() == retransmits
    assert seen("server", AGAIN) <= seen("client", AGAIN)
    carries = "tcp.len > 0 or tcp.flags.syn == 1 or tcp.flags.fin == 1"
    sent, arrived = seen("client", carries), seen("server", carries)
    assert sent.total() - len(arrived) == retransmits
    assert arrived.keys() == sent.keys()


@pytest.fixture
def lab(lab_name):
    """A lab in which nothing is sent but what somebody asks for: ends of a impaired link know each other's address."""
    text = "name: captured\nnodes: {client: {}, server: {}}\nlinks: [{between: [client, server], delay: 1ms}]\n"
    with Lab.up(loads(text, "captured.yml"), name=lab_name, runtime="netns", engine="userspace") as lab:
        yield lab


def answered(lab):
    """How many echo replies have come to the client, as its kernel counts them."""
    names, values = re.findall("^Icmp: (.*)$", lab["client"].run(["cat", "/proc/net/snmp"]).stdout, re.MULTILINE)
    return int(dict(zip(names.split(), values.split(), strict=True))["InEchoReps"])


def test_a_capture_keeps_the_newest(lab, tmp_path):
    """What it can't keep is counted; what it keeps ends with the last packet."""
    with lab.capture("client", tmp_path / "newest.pcap", snap_bytes=1 << 16, size_bytes=10**6) as capturing:
        done = lab["client"].run(["ping", "-q", "-c1500", "-i0.001", "-s1400", "server"])
        assert eventually(lambda: answered(lab) == 1500)  # ping does not wait for what comes late
    assert done.status == 0, done.stderr
    (capture,) = capturing.captures
    found = read_by_tshark(tmp_path / "newest.pcap", "icmp", "icmp.seq", "frame.cap_len", "icmp.type")
    assert capture.packets == len(found)
    assert (capture.packets + capture.overwritten, capture.dropped) == (3000, 0)
    assert capture.overwritten > 0
    assert {int(length) for _, length, _ in found} == {14 + 20 + 8 + 1400}
    last = [int(number) for number, _, kind in found if kind == "0"]
    assert last == list(range(1501 - len(last), 1501))


def test_the_command_captures_until_ctrl_c(lab, tmp_path):
    """Until Ctrl-C; the packet is there while the command was."""
    file = tmp_path / "mine.pcap"
    capturing = begin("capture", lab.name, "server", "-o", str(file), lab=lab.name)
    assert b"Ctrl-C ends it" in capturing.stderr.readline()
    assert lab["client"].run(["ping", "-c1", "server"]).status == 0
    capturing.send_signal(signal.SIGINT)
    _, said = capturing.communicate(timeout=PATIENCE_S)
    assert capturing.returncode == 0, said
    assert b"mine.pcap   2 packets" in said
    assert [line.split("ICMP ")[1][:9] for line in read_by_tcpdump(file)] == ["echo requ", "echo repl"]
    assert run("capture", lab.name, "sever").returncode == 2


def test_a_lab_that_goes_away_is_told(lab, tmp_path):
    file = tmp_path / "gone.pcap"
    capturing = begin("capture", lab.name, "server", "-o", str(file), lab=lab.name)
    assert b"Ctrl-C ends it" in capturing.stderr.readline()
    lab.down()
    _, said = capturing.communicate(timeout=PATIENCE_S)
    assert capturing.returncode == 4
    assert b"agent-gone" in said
    assert not file.exists()
