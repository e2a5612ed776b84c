"""Frames that the userspace engine's reader finds alone, and those that it finds together."""

import os
import select
import socket
import subprocess

import pytest

from testbed.engines.userspace.packet_sockets import open_input
from testbed.engines.userspace.reading import FrameReader
from testbed.linux import namespaces
from tests.live.command_line import PATIENCE_S

MTU = 400
MACS = bytes.fromhex("0242c61200020242c6120001")
IPV4, TAG = b"\x08\x00", b"\x81\x00\x20\x64"
PLAIN = MACS + IPV4 + bytes(60)
TAGGED = MACS + TAG + IPV4 + bytes(60)
LARGEST = MACS + IPV4 + bytes(MTU)
LARGEST_TAGGED = MACS + TAG + IPV4 + bytes(MTU)
TOO_LARGE = LARGEST + bytes(1)
FRAMES = (PLAIN, TAGGED, LARGEST, LARGEST_TAGGED, TOO_LARGE)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")


@pytest.fixture
def ends():
    """A socket that sends through one end of a cable, and one that the engine reads at the other."""
    network = namespaces.new_network()
    with namespaces.inside(network):
        for command in ("link add near type veth peer name far", "link set near up", "link set far up"):
            subprocess.run(["ip", *command.split()], check=True)
        near = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        near.bind(("near", 0))
        far = open_input(socket.if_nametoindex("far"))
    os.close(network)
    with near, far:
        yield near, far


def read(far, count):
    """The test's packets, and how many of its `count` frames were too large; the kernel sends some of its own."""
    packets: list[bytes] = []
    reader, too_large = FrameReader(), 0
    while select.select([far], [], [], 0.2 if len(packets) + too_large >= count else PATIENCE_S)[0]:
        arrivals, _, oversize = reader.read(far.fileno(), MTU)
        packets += [
            packet for _, some in arrivals for packet in some if isinstance(packet, bytes) and packet.startswith(MACS)
        ]
        too_large += oversize
    return packets, too_large


@pytest.mark.live
def test_a_frame_alone_is_read_as_it_is_among_others(ends):
    near, far = ends
    alone = []
    for frame in FRAMES:
        near.send(frame)
        alone.append(read(far, 1))
    for frame in FRAMES:
        near.send(frame)
    together, too_large = read(far, len(FRAMES))
    assert together == [packet for packets, _ in alone for packet in packets] == list(FRAMES[:-1])
    assert too_large == sum(number for _, number in alone) == 1
