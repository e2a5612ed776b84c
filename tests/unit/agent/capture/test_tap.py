"""The kernel's own ring, in a network namespace of this test's own."""

import json
import os
import subprocess
import sys

import pytest

from testbed.agent.capture.tap import BLOCK_BYTES, Tap

pytestmark = pytest.mark.netns

INSIDE = """
import json, socket, subprocess, sys
from testbed.agent.capture.tap import Tap, records

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
count, size, snap = map(int, sys.argv[1:])
sender, receiver = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
receiver.bind(("127.0.0.1", 0))
with Tap("lo", snap) as tap:
    for number in range(count):
        sender.sendto(number.to_bytes(4, "big") + bytes(size - 4), receiver.getsockname())
    found = [(bytes(block), packets) for block, packets in tap.last_blocks()]
    dropped = tap.dropped
    sender.sendto(b"after the end", receiver.getsockname())
    assert not list(tap.blocks())
frames = [record for block, _ in found for record in records(block)]
print(json.dumps({
    "packets": sum(packets for _, packets in found),
    "dropped": dropped,
    "numbers": [int.from_bytes(frame[58:62], "big") for frame in frames],
    "captured": sorted({int.from_bytes(frame[8:12], "little") for frame in frames}),
    "lengths": sorted({int.from_bytes(frame[12:16], "little") for frame in frames}),
    "sizes": sorted({len(frame) - 16 for frame in frames}),
}))
"""


def seen(count, size, snap):
    own = ["--net"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--net"]
    command = ["unshare", *own, sys.executable, "-c", INSIDE, str(count), str(size), str(snap)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_frame_is_seen_as_it_leaves_and_as_it_arrives():
    found = seen(500, 1000, 256)
    assert (found["packets"], found["dropped"]) == (1000, 0)
    assert found["numbers"] == [number for number in range(500) for _ in range(2)]
    assert found["captured"] == found["sizes"] == [256]
    assert found["lengths"] == [14 + 20 + 8 + 1000]


def test_frames_shorter_than_the_snap_are_whole():
    found = seen(10, 100, 65536)
    assert found["captured"] == found["sizes"] == found["lengths"] == [142]


def test_what_finds_no_room_is_counted():
    """Nobody takes blocks meanwhile: the ring fills, and the rest is dropped."""
    most = 64 * BLOCK_BYTES // 30_000
    found = seen(600, 30_000, 65536)
    assert found["dropped"] > 0
    assert found["packets"] <= most
    assert found["packets"] + found["dropped"] == 1200


def test_an_interface_that_is_not_there_is_an_error():
    with pytest.raises(OSError, match="No such device"):
        Tap("no-such-device", 256)
