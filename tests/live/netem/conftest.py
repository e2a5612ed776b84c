"""Two nodes on a bridge, for the kernel engine: what `a` sends to `b` is impaired at b's port, the way back is not."""

import asyncio
import contextlib
import os
import re
import select
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyroute2 import AsyncIPRoute

from testbed.engines.netem import tree
from testbed.engines.userspace.packet_sockets import open_input, open_output
from testbed.engines.userspace.workers import SocketLink, Workers
from testbed.impairments import Impairments
from testbed.linux import namespaces
from tests import pings

SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 32, 33, 35  # asm-generic/socket.h
QUIET_S = 1.0

MTU = 1500
ADDRESS_A, ADDRESS_B = "198.18.0.1", "198.18.0.2"
MAC_A, MAC_B = "02:42:c6:12:00:01", "02:42:c6:12:00:02"

SWITCH_COMMANDS = """
link add name switch0 up type bridge
link add name port-a up master switch0 type veth peer name eth0 address {mac_a} netns {a}
link add name port-b up master switch0 type veth peer name eth0 address {mac_b} netns {b}
link add name link0 up type ifb
"""
NODE_COMMANDS = """
address add {own}/24 dev eth0
link set eth0 up
neighbour add {other} lladdr {mac} dev eth0 nud permanent
"""
FORWARDING_COMMANDS = """
link add name in0 type veth peer name far0
link set in0 addrgenmode none up
link set far0 addrgenmode none up
"""
SEED = 7


def output(*command, stdin=None):
    return subprocess.run(command, input=stdin, check=True, stdout=subprocess.PIPE, text=True).stdout


@dataclass(frozen=True)
class Arrival:
    """A datagram that came: which of those sent, and the kernel's times of its way in ns."""

    number: int
    sent: int
    came: int

    @property
    def delay(self):
        return self.came - self.sent


@dataclass
class ShapedPath:
    """The namespaces by name, and the device of the link."""

    switch: str
    a: str
    b: str
    runner: asyncio.Runner
    ip: AsyncIPRoute
    index: int = 0

    address_a, address_b = ADDRESS_A, ADDRESS_B

    def build(self):
        with contextlib.suppress(OSError):  # where IPv6 is a module, what is set below exists once a socket was made
            socket.socket(socket.AF_INET6).close()
        for name in (self.switch, self.a, self.b):  # with IPv6 each device sends multicasts of its own, and they count
            self.run(name, "sysctl", "-qew", "net.ipv6.conf.default.disable_ipv6=1")
        commands = SWITCH_COMMANDS.format(a=self.a, b=self.b, mac_a=MAC_A, mac_b=MAC_B)
        output("ip", "-n", self.switch, "-batch", "-", stdin=commands)
        for node, own, other, mac in ((self.a, ADDRESS_A, ADDRESS_B, MAC_B), (self.b, ADDRESS_B, ADDRESS_A, MAC_A)):
            output("ip", "-n", node, "-batch", "-", stdin=NODE_COMMANDS.format(own=own, other=other, mac=mac))
            offloads = ("tso", "off", "gso", "off", "tx-udp-segmentation", "off")
            self.run(node, "ethtool", "-K", "eth0", *offloads)
        self.redirect("port-b", MAC_A, "link0")
        [link] = self.runner.run(self.ip.link("get", ifname="link0"))
        self.index = link["index"]

    def redirect(self, port, source, device):
        """Send what a node sends to that port through a device."""
        match = ("protocol", "all", "u32", "match", "ether", "src", source)
        action = ("action", "mirred", "egress", "redirect", "dev", device)
        output("tc", "-n", self.switch, "qdisc", "add", "dev", port, "clsact")
        output("tc", "-n", self.switch, "filter", "add", "dev", port, "egress", *match, *action)

    def apply(self, impairments):
        self.runner.run(tree.apply(self.ip, self.index, impairments, mtu=MTU))

    def counted(self):
        return self.runner.run(tree.counters(self.ip, self.index))

    def run(self, namespace, *command):
        return output("ip", "netns", "exec", namespace, *command)

    def start(self, namespace, *command):
        return subprocess.Popen(("ip", "netns", "exec", namespace, *command), stdout=subprocess.PIPE, text=True)

    def ping(self, *arguments):
        """What ping prints."""
        return self.start(self.a, "ping", "-n", *arguments, ADDRESS_B).communicate()[0]

    def pinged(self, count, interval_s):
        """The round-trip times of so many packets, ms. None of them is lost."""
        command = pings.until_answered(ADDRESS_B, count=count, interval_s=interval_s)
        return pings.complete(self.start(self.a, *command).communicate()[0], count)

    def echos(self):
        """How many echo requests a has sent."""
        [number] = re.findall(r"IcmpOutEchos +(\d+)", self.run(self.a, "nstat", "-asz", "IcmpOutEchos"))
        return int(number)

    @staticmethod
    def round_trips(text):
        """Round-trip times in ms by sequence number, in the order of the answers, from what ping prints."""
        return pings.round_trips(text)

    @contextlib.contextmanager
    def inside(self, namespace):
        with Path(f"/run/netns/{namespace}").open() as file, namespaces.inside(file.fileno()):
            yield

    def serve_iperf3(self, *arguments):
        server = self.start(self.b, "iperf3", "--server", "--one-off", *arguments)
        self.until(lambda: self.run(self.b, "ss", "-Hltn", "sport = 5201"))
        return server

    def send(self, count, *, size=44, gap_s=0.0, back=False):
        """The arrivals, in order, of datagrams from a to b (or back), sent as fast as it goes or with gaps between.

        Args:
            size: of the IP packet, at least 44.
        """
        source, destination, address = (self.b, self.a, ADDRESS_A) if back else (self.a, self.b, ADDRESS_B)
        with self.inside(destination):
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with self.inside(source):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with receiver, sender:
            receiver.bind((address, 0))
            receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
            sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 26)
            receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            receiver.settimeout(0)
            sender.connect(receiver.getsockname())
            for number in range(count):
                sender.send(struct.pack("QQ", number, time.time_ns()).ljust(size - 28, b"\0"))
                if gap_s:
                    time.sleep(gap_s)
            return list(arrivals(receiver))

    @staticmethod
    def until(condition):
        for _ in range(1200):
            if condition():
                return
            time.sleep(0.05)
        pytest.fail("it did not come to that within a minute")


def arrivals(receiver):
    """What comes until nothing does for a while."""
    while select.select([receiver], [], [], QUIET_S)[0]:
        with contextlib.suppress(BlockingIOError):  # in the guest each system call costs, and one a datagram will do
            while True:
                data, [(_, _, stamp)], *_ = receiver.recvmsg(2000, 64)
                seconds, nanoseconds = struct.unpack("ll", stamp)
                number, sent = struct.unpack_from("QQ", data)
                yield Arrival(number, sent, seconds * 1_000_000_000 + nanoseconds)


@pytest.fixture(scope="module")
def path():
    with contextlib.ExitStack() as stack:
        names = [f"tb-netem-{os.getpid()}-{name}" for name in ("switch", "a", "b")]
        for name in names:
            done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no namespace: {done.stderr.strip()}")
            stack.callback(output, "ip", "netns", "del", name)
        runner = stack.enter_context(asyncio.Runner())
        ip = AsyncIPRoute(netns=names[0])
        stack.callback(ip.close)
        if missing := runner.run(tree.probe(ip)):
            pytest.skip(missing.message)
        made = ShapedPath(switch=names[0], a=names[1], b=names[2], runner=runner, ip=ip)
        made.build()
        yield made


@pytest.fixture(scope="module")
def both(path):
    """Applies impairments to both ways: the kernel engine carries them out from a to b, the userspace engine back."""
    path.run(path.switch, "sh", "-c", f"echo '{FORWARDING_COMMANDS}' | ip -batch -")
    path.run(path.switch, "ethtool", "-K", "in0", "tx", "off", "sg", "off", "tso", "off", "gso", "off")
    path.redirect("port-a", MAC_B, "in0")
    indices = [path.runner.run(path.ip.link_lookup(ifname=name))[0] for name in ("far0", "port-a")]

    async def start():
        return Workers()

    engine = path.runner.run(start())
    with path.inside(path.switch):
        sockets = open_input(indices[0]), open_output(indices[1])
    path.runner.run(engine.add([SocketLink("back", Impairments(), SEED, *sockets)]))

    def apply(impairments, back=None):
        path.apply(impairments)
        path.runner.run(engine.replace("back", back or impairments))

    yield apply
    path.runner.run(engine.aclose())
