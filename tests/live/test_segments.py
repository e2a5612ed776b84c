"""Frames of segmentation offload, cut by the userspace engine: against the kernel's own cutting, and by tcpdump."""

import asyncio
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.agent import offloads
from testbed.engines.userspace.segments import KINDS, VIRTIO, SegmentTrain, packet_of, sealed
from testbed.engines.userspace.workers import Workers
from testbed.impairments import CERTAIN, Bottleneck, FixedRate, Impairments, IndependentLoss
from testbed.linux import namespaces
from tests.live.command_line import eventually
from tests.live.test_userspace_worker import SEED, ShapedPair, mac
from tests.offloaded import offloaded

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
ETH_P_ALL = 3
PROTOCOLS = ["tcp"] if "tx-udp-segmentation" in offloads.untellable() else ["tcp", "udp"]
ADDRESSES6 = {"a": "2001:2::1", "b": "2001:2::2"}
SEGMENT_BYTES = 1448
"""Of data, with time stamps (RFC 7323), where the MTU is 1500."""
RECEIVE = """
import hashlib, socket
with socket.create_server(("", 5000)) as server:
    print(flush=True)
    with server.accept()[0] as connection:
        print(hashlib.file_digest(connection.makefile("rb"), "sha256").hexdigest())
"""
SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 5000)) as connection:
    connection.sendall(sys.stdin.buffer.read())
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
"""
TAG = b"\x81\x00\x20\x05"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")


class Cable:
    """A veth pair in a namespace of its own; the kernel cuts what is sent into one end."""

    def __init__(self):
        self.network = namespaces.new_network()
        with namespaces.inside(self.network):
            for command in (
                "link add cut type veth peer name end",
                "link set cut addrgenmode none mtu 9000 up",
                "link set end addrgenmode none mtu 9000 up",
            ):
                subprocess.run(["ip", *command.split()], check=True)
            self.sending = self.open("cut", header=True)
            self.receiving = self.open("end", header=False)
        offloads.switch_off(self.network, ["cut"], (*offloads.SEGMENTATION, "tx-checksum-ip-generic"))

    @staticmethod
    def open(device, *, header):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, int(header))
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        sock.bind((device, ETH_P_ALL))
        sock.settimeout(5)
        return sock

    def sent(self, buffers, count):
        """The packets that arrive when a frame is sent, which the kernel cuts."""
        self.sending.sendmsg(buffers)
        return [self.receiving.recv(70_000) for _ in range(count)]

    def close(self):
        self.sending.close()
        self.receiving.close()
        os.close(self.network)


@pytest.fixture(scope="module")
def cable():
    made = Cable()
    yield made
    made.close()


def frames(least, most):
    """Headers and frames with so many bytes of payload, in packets of at most 1000."""
    return st.builds(
        offloaded,
        st.sampled_from(PROTOCOLS),
        st.integers(least, most).map(os.urandom),
        st.integers(400, 1000),
        flags=st.sampled_from(["a", "pa", "fa", "fpa", "wea", "fpauew"]),
        ipv6=st.booleans(),
        tos=st.integers(0, 255),
        options=st.sampled_from([b"", b"\x01\x01\x08\x0a" + bytes(8)]),
        extension=st.sampled_from([b"", b"\0\0\x01\x04\0\0\0\0", b"\0\x01\x01\x0c" + bytes(12)]),
        identification=st.integers(0, 65535),
        sequence=st.integers(0, 2**32 - 1),
        tag=st.sampled_from([b"", TAG]),
    )


def without_tag(packet):
    """The packet as a packet socket has it, from which the kernel keeps the tag."""
    return packet.replace(TAG, b"", 1) if packet[12:].startswith(TAG) else packet


@settings(max_examples=150)
@given(frame=frames(1001, 20_000), data=st.data())
def test_a_frame_is_cut_as_the_kernel_cuts_it(cable, frame, data):
    train = packet_of(*frame)
    assert isinstance(train, SegmentTrain)
    cut = [train.part(number, number + 1).packet() for number in range(train.count)]
    assert cable.sent(frame, train.count) == [without_tag(packet) for packet in cut]
    start = data.draw(st.integers(0, train.count - 1))
    stop = data.draw(st.integers(start + 1, train.count))
    part = train.part(start, stop)
    assert cable.sent(part.buffers(), part.count) == [without_tag(packet) for packet in cut[start:stop]]
    assert len(part) == sum(map(len, cut[start:stop]))


@settings(max_examples=50)
@given(frame=frames(0, 1000))
def test_a_checksum_is_finished_as_the_kernel_finishes_it(cable, frame):
    header, packet = frame
    header = VIRTIO.pack(1, 0, 0, 0, *VIRTIO.unpack(header)[4:])
    assert cable.sent((header, packet), 1) == [without_tag(packet_of(header, packet))]
    if kind := KINDS.get(header):
        assert sealed(kind(packet)) == packet_of(header, packet)


@pytest.fixture
def pair():
    with ShapedPair() as made:
        yield made


def transferred(pair, sent):
    """The SHA-256 digest of what node b receives, when a sends it something by TCP."""
    inside = ("ip", "netns", "exec")
    receive = [*inside, f"{pair.prefix}-b", sys.executable, "-c", RECEIVE]
    send = [*inside, f"{pair.prefix}-a", sys.executable, "-c", SEND, pair.addresses["b"]]
    with subprocess.Popen(receive, stdout=subprocess.PIPE, text=True) as receiving:
        assert receiving.stdout
        receiving.stdout.readline()
        subprocess.run(send, input=sent, check=True)
        return receiving.stdout.readline().strip()


COUNT_DATAGRAMS = """
import socket, sys
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE, socket(7): however late it reads
    sock.bind(("::", 5000))
    sock.settimeout(60)
    print(flush=True)
    try:
        while True:
            data = sock.recv(2000)
            sock.settimeout(1)
            print(int.from_bytes(data[:4], "big"), len(data), len(set(data[4:])))
    except TimeoutError:
        pass
"""
SEND_DATAGRAMS = """
import socket, sys
address, together = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as sock:
    sock.connect((address, 5000))
    if together > 1:
        sock.setsockopt(socket.SOL_UDP, 103, 1004)  # UDP_SEGMENT, udp(7)
    for first in range(0, 400, together):
        sock.send(b"".join(n.to_bytes(4, "big") + bytes([n % 256]) * 1000 for n in range(first, first + together)))
"""


async def numbered(pair, engine, address, together):
    """Number and size of the datagrams that arrive of 400, of which so many are handed over together."""
    inside = ("ip", "netns", "exec")
    receive = (*inside, f"{pair.prefix}-b", sys.executable, "-c", COUNT_DATAGRAMS)
    send = (*inside, f"{pair.prefix}-a", sys.executable, "-c", SEND_DATAGRAMS, address, str(together))
    receiving = await asyncio.create_subprocess_exec(*receive, stdout=asyncio.subprocess.PIPE)
    assert receiving.stdout
    await receiving.stdout.readline()
    await engine.restart(["b"])
    await (await asyncio.create_subprocess_exec(*send)).wait()
    output, _ = await receiving.communicate()
    return [tuple(map(int, line.split())) for line in output.splitlines()]


@pytest.mark.live
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_the_seed_loses_the_same_datagrams_of_frames_as_of_single_packets(pair, ipv6):
    loss = CERTAIN // 10
    address = pair.addresses["b"]
    if ipv6:
        address = ADDRESSES6["b"]
        for name, other in ("ab", "ba"):
            pair.ip(name, "address", "add", f"{ADDRESSES6[name]}/64", "dev", "eth0", "nodad")
            pair.ip(name, "neighbor", "add", ADDRESSES6[other], "lladdr", mac(other), "dev", "eth0")

    async def measure(together):
        async with Workers() as engine:
            await pair.impairments(engine, "b", Impairments(loss=IndependentLoss(probability=loss)))
            for number in ("0", "58"):  # what a node says of its groups, and ICMPv6, would count; nobody reads there
                only = ("protocol", "ipv6", "u32", "match", "ip6", "protocol", number, "0xff")
                elsewhere = ("action", "mirred", "egress", "redirect", "dev", "in-a")
                pair.switched("tc", "filter", "add", "dev", "port-b", "egress", "prio", "1", *only, *elsewhere)
            arrived = await numbered(pair, engine, address, together)
            counted = (await engine.counters())["b"]
        pair.switched("tc", "qdisc", "del", "dev", "port-b", "clsact")
        return arrived, counted

    draw = Random(f"{SEED}:0:loss").getrandbits
    kept = [(number, 1004, 1) for number in range(400) if draw(32) >= loss]
    for together in (40, 1):
        arrived, counted = asyncio.run(measure(together))
        assert arrived == kept
        assert (counted.packets_in, counted.packets_out, counted.lost) == (400, len(kept), 400 - len(kept))
        assert counted.bytes_in == 400 * (1004 + 8 + (40 if ipv6 else 20) + 14)


def has_not_closed(pair):
    """Whether a connection of node b still waits for the last acknowledgement, without which it sends again."""
    open_ones = ("ip", "netns", "exec", f"{pair.prefix}-b", "ss", "-Htn")
    return subprocess.run(open_ones, capture_output=True, text=True, check=True).stdout


def packets_seen(text):
    """Packets on the wire in what tcpdump -v prints of a TCP stream; of a frame of several only the last is short."""
    lengths = [int(found) for found in re.findall(r"length (\d+)$", text, re.MULTILINE)]
    return sum(max(-(-length // SEGMENT_BYTES), 1) for length in lengths)


@pytest.mark.live
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut at the receiver's port"])
def test_what_tcpdump_sees_at_both_ends_is_what_the_link_counts(pair, cut):
    sent = os.urandom(8_000_000)
    if cut:  # the kernel cuts what the engine sends, and fills in checksums
        with Path(f"/run/netns/{pair.switch}").open() as namespace:
            offloads.switch_off(namespace.fileno(), ["port-b"], (*offloads.SEGMENTATION, "tx-checksum-ip-generic"))
    impairments = Impairments(
        delay_ns=5_000_000,
        loss=IndependentLoss(probability=CERTAIN // 100),
        bottleneck=Bottleneck(rate=FixedRate(bps=10**9), queue_bytes=10**6),
    )

    async def measure():
        async with Workers() as engine:
            await pair.impairments(engine, "b", impairments)
            with dumped(pair, "a") as left, dumped(pair, "b") as arrived:
                received = await asyncio.to_thread(transferred, pair, sent)
                while has_not_closed(pair) or (counted := (await engine.counters())["b"]).in_flight:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            return received, counted, *left, *arrived

    received, counted, left, arrived = asyncio.run(measure())
    assert received == hashlib.sha256(sent).hexdigest()
    assert counted.lost > 20
    assert counted.kernel_drops == counted.oversize == counted.send_failures == counted.in_flight == 0
    assert packets_seen(left) == counted.packets_in
    assert packets_seen(arrived) == counted.packets_out
    assert counted.packets_in == counted.packets_out + counted.lost + counted.queue_drops
    assert left.count("\n    ") > 100
    assert max(int(length) for length in re.findall(r"length (\d+)$", left, re.MULTILINE)) > SEGMENT_BYTES
    if cut:
        assert "incorrect" not in arrived
        assert max(int(length) for length in re.findall(r"length (\d+)$", arrived, re.MULTILINE)) == SEGMENT_BYTES


def has_seen_all(tcpdump, said):
    """Whether tcpdump says, which SIGUSR1 makes it do, that it has shown all packets that the kernel has for it."""
    tcpdump.send_signal(signal.SIGUSR1)
    time.sleep(0.1)
    counted = re.findall(r"(\d+) packets captured, (\d+) packets received", said.read_text(encoding="utf-8"))
    return counted and counted[-1][0] == counted[-1][1]


@contextmanager
def dumped(pair, node):
    """What tcpdump sees of node a's packets at a node: a list that has its text afterwards."""
    seen: list[str] = []
    inside = ("ip", "netns", "exec", f"{pair.prefix}-{node}")
    options = ("-vnn", "-i", "eth0", "-B", "32768", "tcp and src", pair.addresses["a"])
    with tempfile.TemporaryFile("w+") as out, tempfile.NamedTemporaryFile("w") as said:
        with subprocess.Popen([*inside, "tcpdump", *options], stdout=out, stderr=said) as process:
            try:
                while "listening on" not in Path(said.name).read_text(encoding="utf-8"):
                    time.sleep(0.01)
                yield seen
                assert eventually(lambda: has_seen_all(process, Path(said.name)))  # it looks once a second
            finally:
                process.send_signal(signal.SIGINT)
        assert "\n0 packets dropped by kernel" in Path(said.name).read_text(encoding="utf-8")
        out.seek(0)
        seen.append(out.read())
