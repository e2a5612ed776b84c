"""Frames with VLAN tags (IEEE 802.1Q) over links, as tcpdump shows them on the receiver's interface."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from testbed.lab import Lab
from testbed.topology import loads
from tests.live.command_line import eventually

pytestmark = [pytest.mark.live, pytest.mark.netns]

TOPOLOGY = """
name: tags
nodes: {a: , plain: , delayed: , cut: , thinned: }
links:
  - {from: a, to: delayed, delay: 5ms, rate: 10mbit}
  - {from: a, to: cut, loss: 100%}
  - {from: a, to: thinned, drop: {packets: udp, every: 2}}
"""

TAGS = {"customer": "81000320", "provider": "88a80321", "priority": "8100a000", "double": "88a80064810000c8"}
COPIES = 4

SEND = """
import socket, struct, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.bind(("eth0", 0))
    mac = bytes.fromhex(open("/sys/class/net/eth0/address").read().strip().replace(":", ""))
    packet = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 48, 7, 0, 64, 17, 0x7AB7, bytes(4), bytes(4))
    packet += struct.pack("!HHHH", 9, 9, 28, 0)
    for number in range(int(sys.argv[1])):
        for tag in sys.argv[2:]:
            sock.send(b"\\xff" * 6 + mac + bytes.fromhex(tag) + b"\\x08\\x00" + packet + b"marked" + bytes(14))
"""


def received(pcap):
    """From tcpdump, what follows the addresses in each frame of the test's, up to the IP header; in hexadecimal."""
    shown = subprocess.run(["tcpdump", "-n", "-xx", "-r", pcap], capture_output=True, text=True, check=True).stdout
    dumps = [re.sub(r"\n\s+0x[0-9a-f]+:|\s", "", text) for text in re.split(r"^\S.*$", shown, flags=re.MULTILINE)]
    return [dump[24 : dump.index("08004500")] for dump in dumps if b"marked".hex() in dump]


def counts(lab):
    """Of the links, by where they lead to."""
    return {each.destination: each.counts for each in lab.statistics()}


def test_a_link_carries_tags_as_they_came_and_impairs_frames_with_them(lab_name, tmp_path):
    expected = [*("", *TAGS.values())] * COPIES
    files = {node: tmp_path / f"{node}.pcap" for node in ("plain", "delayed", "cut", "thinned")}
    with Lab.up(loads(TOPOLOGY, "tags.yml"), name=lab_name, runtime="netns", engine="userspace") as lab:
        with (
            lab.capture("plain", files["plain"]),
            lab.capture("delayed", files["delayed"]),
            lab.capture("cut", files["cut"]),
            lab.capture("thinned", files["thinned"]),
        ):
            sent = lab["a"].run([sys.executable, "-c", SEND, str(COPIES), "", *TAGS.values()])
            assert sent.status == 0, sent.stderr
            assert eventually(lambda: counts(lab)["delayed"].packets_out == len(expected))
        counted = counts(lab)
    assert received(files["plain"]) == expected
    assert received(files["delayed"]) == expected
    assert received(files["cut"]) == []
    assert received(files["thinned"]) == expected[::2]
    sizes = sum(14 + len(tag) // 2 + 48 for tag in expected)
    assert counted["delayed"].bytes_in == counted["delayed"].bytes_out == sizes
    assert counted["cut"].lost == len(expected)
