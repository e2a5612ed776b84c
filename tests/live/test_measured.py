"""Links measured by tools that are none of ours: ping, iperf3, irtt, tcpdump and the kernel's own counters.

Bounds hold on a busy machine too: what it adds comes on top of a delay, and takes off a rate.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from testbed.lab import Lab, take_down
from testbed.topology import loads
from tests import pings
from tests.live.command_line import eventually

TOOLS = {"ping", "iperf3", "irtt", "tcpdump"}
PROBES = 5_000
LOSS = 0.02
SENT, SURE = 300, 200
TRIES = 5
PAYLOAD = 1448 / 1514
"""Of a full TCP frame, with time stamps (RFC 7323): MTU 1500 and 14 bytes of Ethernet."""
CLOCK = 1.02
"""iperf3 counts reads of 1448 bytes, of which an interval has one more or less."""

pytestmark = [pytest.mark.live, pytest.mark.netns]


@pytest.fixture(params=["userspace", pytest.param("netem", marks=pytest.mark.netem)])
def engine(request):
    return request.param


@pytest.fixture
def up(engine, lab_name):
    """Brings a star of nodes up with the links given, one after the other under the same name."""
    if missing := {tool for tool in TOOLS if not shutil.which(tool)}:
        pytest.fail(f"not installed: {', '.join(missing)}")

    def bring_up(*links, seed=1):
        nodes = "client: {}, other: {}, server: {}"
        text = f"name: measured\nseed: {seed}\nnodes: {{{nodes}}}\nlinks:\n" + "".join(
            f"  - {link}\n" for link in links
        )
        return Lab.up(loads(text, "measured.yml"), name=lab_name, runtime="netns", engine=engine)

    yield bring_up
    take_down(lab_name)


def say(text):
    print(text)  # noqa: T201  # for whoever looks at the figures: pytest -rA


def output(lab, node, *argv):
    done = lab[node].run(argv)
    assert done.status == 0, done.stdout + done.stderr
    return done.stdout


class Background:
    """A command in a node that says when it is at work, ended by Ctrl-C."""

    def __init__(self, lab, node, *argv, ready):
        self._process = lab.agent.spawn(node, argv)
        self._written = ""
        self._output = self._process.output()
        while not re.search(ready, self._written):
            self._written += next(self._output)[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """All that it wrote."""
        self._process.signal(signal.SIGINT)
        self._written += "".join(text for _, text in self._output)
        return self._written


def received_by_iperf3(lab, source, seconds):
    """Bit/s of TCP that the server receives from a node in fifths of a second: at the median, and in the best of them.

    A busy machine leaves a link idle now and then, which lowers the one; it can hardly do so all the time. Or it reads
    late, and more at once, which raises the other.
    """
    client = ("iperf3", "-J", "-R", "-c", source, "-t", str(seconds), "-i", "0.2", "-l", "1448")
    with Background(lab, source, "iperf3", "-s", "--forceflush", ready="listening"):
        report = json.loads(output(lab, "server", *client))
    intervals = [each["sum"] for each in report["intervals"]]
    rates = [each["bits_per_second"] for each in intervals if each["seconds"] > 0.18]  # not what is left at the end
    return statistics.median(rates), max(rates)


def test_delay_as_ping_sees_it(up, engine):
    lab = up("{between: [client, server], delay: 40ms}")
    for _ in range(TRIES):
        times = pings.complete(output(lab, "client", *pings.until_answered("server", count=60)), 60)
        say(f"{engine}: ping {min(times)} ms at least, {statistics.median(times)} ms at the median, asked for 80 ms")
        assert min(times) >= 80
        if min(times) <= 81.5:
            return
    pytest.fail(f"no packet of {TRIES} times 60 came in time")


def acceptance(number, probability, level):
    """The counts between which a binomial variable lies, but for (1 - level) / 2 on either side, exactly."""
    tail = (1 - level) / 2
    logs = [
        math.lgamma(number + 1)
        - math.lgamma(count + 1)
        - math.lgamma(number - count + 1)
        + count * math.log(probability)
        + (number - count) * math.log1p(-probability)
        for count in range(number + 1)
    ]
    weights = [math.exp(value) for value in logs]
    below, low = 0.0, 0
    while below + weights[low] <= tail:
        below += weights[low]
        low += 1
    above, high = 0.0, number
    while above + weights[high] <= tail:
        above += weights[high]
        high -= 1
    return low, high


def datagrams(lab, node):
    """UDP datagrams that a node's kernel has received and sent (/proc/net/snmp)."""
    names, values = (line.split()[1:] for line in output(lab, node, "grep", "^Udp:", "/proc/net/snmp").splitlines())
    count = dict(zip(names, map(int, values), strict=True))
    return count["InDatagrams"] + count["InErrors"], count["OutDatagrams"]


def test_loss_of_datagrams_sent_by_irtt(up, engine):
    lab = up(f"{{from: client, to: server, loss: {LOSS:%}}}")
    before = datagrams(lab, "server")[0], datagrams(lab, "client")[1]
    sent = 0
    with Background(lab, "server", "irtt", "server", "-i", "0", ready="starting"):
        while sent < PROBES:  # a busy machine sends fewer in the time
            output(lab, "client", "irtt", "client", "-Q", "-i", "100us", "-d", "2500ms", "--wait=100ms", "server")
            sent = datagrams(lab, "client")[1] - before[1]
    low, high = acceptance(sent, LOSS, 0.999)
    time.sleep(0.5)  # what the machine is late with is not lost
    assert eventually(lambda: sent - (datagrams(lab, "server")[0] - before[0]) <= high)
    arrived = datagrams(lab, "server")[0] - before[0]
    say(f"{engine}: {sent - arrived} of {sent} datagrams lost, {low} to {high} expected")
    assert low <= sent - arrived <= high


def test_rate_as_iperf3_sees_it(up, engine):
    lab = up("{from: client, to: server, rate: 20mbit, queue: 64KB}")
    watching = ("tcpdump", "-n", "-e", "-l", "-c", "2000", "tcp and greater 1400")
    with Background(lab, "server", *watching, ready="listening on") as frames:
        median, best = received_by_iperf3(lab, "client", 5)
        seen = frames.end()
    say(f"{engine}: {median / 1e6:.2f} Mbit/s, {best / 1e6:.2f} in the best fifth of a second, asked for 20")
    assert median <= 20e6 * PAYLOAD * CLOCK
    assert best >= 18.5e6
    lengths = [int(length) for length in re.findall(r", length (\d+): ", seen)]
    # One packet is one packet: where several were due when the engine came to send, they arrive as one frame of theirs.
    assert 1514 in lengths
    assert sum((length - 66) % 1448 == 0 for length in lengths) > 0.9 * len(lengths), lengths  # all but ends of writes


def test_links_into_one_receiver_keep_their_own_rates(up, engine):
    lab = up(
        "{from: client, to: server, rate: 6mbit, queue: 32KB}", "{from: other, to: server, rate: 3mbit, queue: 32KB}"
    )
    with ThreadPoolExecutor(2) as both:
        rates = {
            6e6: both.submit(received_by_iperf3, lab, "client", 4),
            3e6: both.submit(received_by_iperf3, lab, "other", 4),
        }
    for asked, found in rates.items():
        median, best = found.result()
        measured = f"{median / 1e6:.2f} Mbit/s, {best / 1e6:.2f} in the best fifth of a second"
        say(f"{engine}: {measured}, asked for {asked / 1e6}")
        assert median <= asked * PAYLOAD * CLOCK
        assert best >= asked * 0.9


CAPTURE = r"(\d+\.\d+) .*ICMP echo (request|reply), id \d+, seq (\d+)"


def test_packets_leave_when_sent_and_arrive_when_delivered(up):
    lab = up("{from: client, to: server, delay: 100ms}")
    watching = ("tcpdump", "-n", "-tt", "-l", "--immediate-mode", "-i", "any", "icmp")
    with (
        Background(lab, "client", *watching, ready="listening on") as at_client,
        Background(lab, "server", *watching, ready="listening on") as at_server,
    ):
        shown = output(lab, "client", *pings.until_answered("server", "-D", count=30, interval_s=0.05))
        captured = [
            {(kind, int(number)): float(when) for when, kind, number in re.findall(CAPTURE, each.end())}
            for each in (at_client, at_server)
        ]
    pinged = re.findall(r"\[([\d.]+)\] .* icmp_seq=(\d+) .*time=([\d.]+) ms", shown)
    assert len(pinged) >= 30
    held, under_way, back = [], [], []
    for received, text, milliseconds in pinged[:20]:  # tcpdump may end before it has read the last ones
        number = int(text)
        client, server = captured
        held.append(client["request", number] - (float(received) - float(milliseconds) / 1000))
        under_way.append(server["request", number] - client["request", number])
        back.append(client["reply", number] - server["reply", number])
    assert min(map(abs, held)) < 0.005
    assert statistics.median(held) < 0.05
    assert 0.1 <= min(under_way) < 0.1015
    assert min(back) < 0.005


def unanswered(lab):
    """Numbers of the pings that get no answer. Those of the last ones may come when ping no longer waits for them."""
    shown = lab["client"].run(["ping", "-n", f"-c{SENT}", "-i0.004", "-W1", "server"]).stdout
    return {*range(1, SENT + 1)} - {int(number) for number in re.findall(r"icmp_seq=(\d+) ", shown)}


@pytest.mark.parametrize("engine", ["userspace"])
def test_a_seed_loses_the_same_packets_in_every_lab(up):
    lost = []
    for seed in (5, 5, 6):
        with up("{from: client, to: server, loss: 10%}", seed=seed) as lab:
            missing = unanswered(lab)
            lost.append({number for number in missing if number <= SURE})
            (link,) = lab.statistics()
            assert len(lost[-1]) <= link.counts.lost <= len(missing)
            assert link.counts.kernel_drops == link.counts.backlog_drops == 0
            assert link.counts.lateness_p99_ns is not None
    assert lost[0]
    assert lost[0] == lost[1]
    assert lost[0] != lost[2]
