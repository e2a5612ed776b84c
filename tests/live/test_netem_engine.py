"""The kernel engine, measured by ping and iperf3. Needs a kernel with sch_netem.

Two nodes on a bridge; what `a` sends to `b` is shaped at b's port, the way back is not.
"""

import asyncio
import contextlib
import json
import math
import os
import re
import socket
import statistics
import subprocess
import time
from collections import namedtuple

import pytest
from pyroute2 import AsyncIPRoute

from testbed.agent import netem
from testbed.shape import CERTAIN, Shape

pytestmark = pytest.mark.netem

MS = 1_000_000
MBIT = 1_000_000
MTU = 1500
FRAME, HEADERS = 1514, 42  # bytes of the longest frame, and of its Ethernet, IPv4 and UDP headers

SWITCH, A, B = NAMESPACES = [f"tb-netem-{os.getpid()}-{name}" for name in ("switch", "a", "b")]
ADDRESS_A, ADDRESS_B = "198.18.0.1", "198.18.0.2"
MAC_A, MAC_B = "02:42:c6:12:00:01", "02:42:c6:12:00:02"

SWITCH_COMMANDS = f"""
link add name switch0 up type bridge
link add name port-a up master switch0 type veth peer name eth0 address {MAC_A} netns {A}
link add name port-b up master switch0 type veth peer name eth0 address {MAC_B} netns {B}
link add name link0 up type ifb
"""
NODE_COMMANDS = """
address add {own}/24 dev eth0
link set eth0 up
neighbour add {other} lladdr {mac} dev eth0 nud permanent
"""
FILTER_COMMANDS = f"""
qdisc add dev port-b clsact
filter add dev port-b egress protocol all u32 match ether src {MAC_A} action mirred egress redirect dev link0
"""

Path = namedtuple("Path", "runner ip index")  # noqa: PYI024


def output(*command, stdin=None):
    return subprocess.run(command, input=stdin, check=True, stdout=subprocess.PIPE, text=True).stdout


def start(namespace, *command):
    return subprocess.Popen(("ip", "netns", "exec", namespace, *command), stdout=subprocess.PIPE, text=True)


def round_trips(text):
    """Round-trip times in ms, from what ping prints."""
    return [float(value) for value in re.findall(r" time=([\d.]+) ms", text)]


def ping(*arguments):
    return start(A, "ping", "-n", *arguments, ADDRESS_B).communicate()[0]


def build():
    with contextlib.suppress(OSError):  # where IPv6 is a module, what is set below exists once a socket was made
        socket.socket(socket.AF_INET6).close()
    for name in NAMESPACES:  # with IPv6 each device sends multicasts of its own, the ifb too, and they are counted
        output("ip", "netns", "exec", name, "sysctl", "-qew", "net.ipv6.conf.default.disable_ipv6=1")
    output("ip", "-n", SWITCH, "-batch", "-", stdin=SWITCH_COMMANDS)
    for node, own, other, mac in ((A, ADDRESS_A, ADDRESS_B, MAC_B), (B, ADDRESS_B, ADDRESS_A, MAC_A)):
        output("ip", "-n", node, "-batch", "-", stdin=NODE_COMMANDS.format(own=own, other=other, mac=mac))
        offloads = ("tso", "off", "gso", "off", "tx-udp-segmentation", "off")
        output("ip", "netns", "exec", node, "ethtool", "-K", "eth0", *offloads)
    output("tc", "-n", SWITCH, "-batch", "-", stdin=FILTER_COMMANDS)


@pytest.fixture(scope="module")
def path():
    with contextlib.ExitStack() as stack:
        for name in NAMESPACES:
            made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"no namespace: {made.stderr.strip()}")
            stack.callback(output, "ip", "netns", "del", name)
        runner = stack.enter_context(asyncio.Runner())
        ip = AsyncIPRoute(netns=SWITCH)
        stack.callback(ip.close)
        if missing := runner.run(netem.probe(ip)):
            pytest.skip(missing.message)
        build()
        [link] = runner.run(ip.link("get", ifname="link0"))
        yield Path(runner, ip, link["index"])


@pytest.fixture
def apply(path):
    return lambda shape: path.runner.run(netem.apply(path.ip, path.index, shape, mtu=MTU))


@pytest.fixture
def counted(path):
    return lambda: path.runner.run(netem.statistics(path.ip, path.index))


def test_the_probe_leaves_nothing(path):
    before = output("ip", "-n", SWITCH, "-oneline", "link")
    assert path.runner.run(netem.probe(path.ip)) is None
    assert output("ip", "-n", SWITCH, "-oneline", "link") == before


def test_a_delay_is_that_long(apply):
    apply(Shape(delay_ns=40 * MS))
    times = round_trips(ping("-c", "21", "-i", "0.05"))
    assert len(times) == 21
    assert min(times) >= 40
    assert statistics.median(times) <= 41.5


def test_a_loss_is_that_frequent_and_counted(apply, counted):
    apply(Shape(loss=CERTAIN // 10))
    before = counted()
    sent = 3000
    received = len(round_trips(ping("-c", str(sent), "-i", "0.001", "-W", "1")))
    after = counted()
    low, high = binomial_interval(sent, 0.1, 0.999)
    assert low <= sent - received <= high
    assert after.lost - before.lost == sent - received
    assert after.packets - before.packets == received
    assert after.overflowed == before.overflowed


def test_all_can_be_lost(apply):
    apply(Shape(loss=CERTAIN))
    assert " 0 received" in ping("-q", "-c", "20", "-i", "0.01", "-W", "1")


def test_a_rate_has_its_own_queue(apply, counted):
    """20 Mbit/s into 10 Mbit/s and a queue of 100 ms: iperf3 gets the rate, and ping has to wait in the queue."""
    apply(Shape(rate_bps=10 * MBIT, queue_bytes=125_000))
    before = counted()
    server = start(B, "iperf3", "--server", "--one-off", "--json", "-i", "0.25")
    wait_for_port(B, 5201)
    payload = FRAME - HEADERS
    client = start(A, "iperf3", "-c", ADDRESS_B, "-u", "-b", "20M", "-t", "3", "-l", str(payload))
    time.sleep(1)  # well past the time in which the queue fills, well before the end
    times = round_trips(ping("-c", "11", "-i", "0.1"))
    under_load = counted()
    client.communicate()
    report = json.loads(server.communicate()[0])
    received = report["end"]["sum_received"]
    most = 10 * MBIT * payload / FRAME

    assert received["bits_per_second"] <= most
    # a machine that is busy elsewhere lets the bottleneck idle now and then, but not all the time
    intervals = [interval["sum"]["bits_per_second"] for interval in report["intervals"]]
    assert max(intervals) >= 0.97 * most
    assert 90 <= statistics.median(times) <= 105
    assert 0.9 * 125_000 <= under_load.queued_bytes <= 125_000
    after = counted()
    assert after.overflowed - before.overflowed >= received["lost_packets"] > 1000
    assert after.lost == before.lost


def test_a_rate_can_be_lifted_and_set_again_without_loss(apply, counted):
    """Ten frames take ten seconds at this rate; what waits when it is lifted is delivered at once."""
    slow = Shape(rate_bps=11_536, queue_bytes=50_000)
    apply(slow)
    client = start(A, "ping", "-n", "-i", "0.02", "-s", "1400", "-w", "20", "-c", "10", ADDRESS_B)
    until(lambda: counted().queued_packets >= 8)
    apply(Shape())
    answers = client.communicate()[0]
    assert len(round_trips(answers)) >= 10
    assert " 0% packet loss" in answers

    apply(slow)
    client = start(A, "ping", "-n", "-c", "3", "-i", "0.02", "-s", "1400", "-w", "20", ADDRESS_B)
    first, second, third = round_trips(client.communicate()[0])
    assert second - first >= 900
    assert third - second >= 900
    apply(Shape())
    until(lambda: counted().queued_packets == 0)


def test_packets_in_flight_keep_their_delay(apply):
    apply(Shape(delay_ns=2000 * MS))
    client = start(A, "ping", "-n", "-c", "1", ADDRESS_B)
    time.sleep(0.5)
    apply(Shape())
    [time_ms] = round_trips(client.communicate()[0])
    assert time_ms >= 2000


def test_a_shape_is_replaced_whole(apply):
    apply(Shape(delay_ns=40 * MS, loss=CERTAIN // 2, rate_bps=10 * MBIT, queue_bytes=50_000))
    bad = show()
    assert bad["netem"]["delay"]["delay"] == pytest.approx(0.04)
    assert bad["netem"]["loss-random"]["loss"] == pytest.approx(0.5)
    assert bad["tbf"]["rate"] == 10 * MBIT // 8

    apply(Shape(delay_ns=10 * MS))
    good = show()
    assert good["netem"]["delay"]["delay"] == pytest.approx(0.01)
    assert "loss-random" not in good["netem"]
    assert good["tbf"]["rate"] > 1 << 32
    assert len(round_trips(ping("-c", "20", "-i", "0.01"))) == 20


def show():
    """The options of the link's queueing disciplines by kind, as tc reads them."""
    return {
        qdisc["kind"]: qdisc["options"]
        for qdisc in json.loads(output("tc", "-n", SWITCH, "-json", "qdisc", "show", "dev", "link0"))
    }


def wait_for_port(namespace, port):
    until(lambda: output("ip", "netns", "exec", namespace, "ss", "-Hltn", f"sport = {port}"))


def until(condition):
    for _ in range(100):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it did not come to that within 5 s")


def binomial_interval(trials, probability, confidence):
    """The central interval in which the number of hits lies with at least that confidence."""
    tail = (1 - confidence) / 2
    chances = [
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(hits + 1)
            - math.lgamma(trials - hits + 1)
            + hits * math.log(probability)
            + (trials - hits) * math.log1p(-probability)
        )
        for hits in range(trials + 1)
    ]
    return edge(chances, tail), trials - edge(reversed(chances), tail)


def edge(chances, tail):
    """How many of the first chances add up to no more than `tail`."""
    total = 0.0
    for count, chance in enumerate(chances):
        total += chance
        if total > tail:
            return count
    raise AssertionError
