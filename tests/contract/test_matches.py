"""Links that are for some packets only: what ping, tcpdump and a program see, in each runtime with each engine."""

import re
import threading

import pytest

from testbed.errors import UsageError
from tests import pings
from tests.contract.labs import BACKENDS, USERSPACE, assert_quickest, own_lab
from tests.live.lateness import wrong

TOPOLOGY = """
name: matches
nodes: {a: , b: }
links:
  - {between: [a, b], match: {protocol: udp, port: 53}, loss: 50%}
  - {from: a, to: b, match: {protocol: tcp, destination_port: 8000-8099}, delay: 60ms}
  - {from: a, to: b, match: {dscp: EF}}
  - {between: [a, b], match: {protocol: icmp}, delay: 15ms}
"""
"""With no plain link: other packets pass untouched."""

SEND = """
import socket, time
sender = socket.socket(type=socket.SOCK_DGRAM)
for number in range(600):
    for port in (53, 5300):
        sender.sendto(bytes(20), ("b", port))
    time.sleep(0.005)
"""

CONNECT = """
import socket, sys, time
times = []
for _ in range(10):
    begun = time.monotonic()
    assert socket.socket().connect_ex(("b", int(sys.argv[1]))) == 111
    times.append(time.monotonic() - begun)
print(1000 * min(times))
"""


@pytest.fixture(params=BACKENDS)
def lab(request, lab_name):
    with own_lab(TOPOLOGY, lab_name, request.param) as lab:
        yield lab


def arrivals(lab, seconds):
    """How many datagrams to ports 53 and 5300 arrive of equally many, as tcpdump says."""
    shown = []
    watch = ["timeout", str(seconds), "tcpdump", "-Z", "root", "-n", "-l", "-i", "eth0", "udp"]
    thread = threading.Thread(target=lambda: shown.append(lab["b"].run(watch).stdout))
    thread.start()
    assert lab["a"].run(["python3", "-c", SEND]).status == 0
    thread.join()
    return [len(re.findall(rf" > [\d.]+\.{port}: ", shown[0])) for port in (53, 5300)]


def connect_ms(lab, port):
    """The least time until a connection is refused, ms."""
    return float(lab["a"].run(["python3", "-c", CONNECT, str(port)]).stdout)


@pytest.mark.parametrize("lab", USERSPACE, indirect=True)
def test_each_link_and_the_rest_of_its_direction_are_measured(lab):
    checks = lab.check(budget_s=60)
    assert wrong(checks) == []
    assert [check.link for check in checks if check.skipped] == []
    assert {check.link for check in checks} >= {"a -> b", "b -> a"}, "what no link is for is measured too"


@pytest.mark.parametrize("lab", USERSPACE, indirect=True)  # the guest with netem is too slow to count in 4 s
def test_only_matching_packets_meet_the_impairments(lab):
    before = {link.key.name: link.counts.packets_in for link in lab.statistics()}

    said = lab["a"].run(pings.until_answered("b")).stdout
    assert min(pings.complete(said)) >= 30
    times = 0
    for seconds in (4, 30):  # a busy machine needs longer to start tcpdump and the sender
        lossy, untouched = arrivals(lab, seconds)
        times += 1
        if untouched > 100:
            break
    assert untouched > 100
    assert 0.3 < lossy / untouched < 0.7
    assert connect_ms(lab, 8080) >= 60
    assert connect_ms(lab, 8100) < 60

    counts = {link.key.name: link.counts for link in lab.statistics()}
    assert counts["a -> b (icmp)"].packets_in - before["a -> b (icmp)"] == pings.sent(said)
    assert counts["b -> a (icmp)"].packets_in - before["b -> a (icmp)"] >= 20
    assert counts["a -> b (udp port 53)"].packets_in - before["a -> b (udp port 53)"] == 600 * times


def test_links_with_a_match_are_changed_and_added_while_the_lab_is_up(lab):
    lab.link("a", "b", match={"protocol": "icmp"}).update(delay="45ms")
    assert_quickest(lab["a"], "b", 60, 61.5)
    lab.link("a", "b").update(delay="30ms")
    assert_quickest(lab["a"], "b", 60, 61.5)
    assert connect_ms(lab, 8100) >= 30
    lab.link("a", "b", match="protocol=tcp,port=8100").update(delay="90ms")
    assert connect_ms(lab, 8100) >= 90
    assert connect_ms(lab, 8080) >= 60
    with pytest.raises(UsageError, match=r"unreachable-match: a -> b \(icmp dscp EF\) would get no packet"):
        lab.link("a", "b", match="dscp=EF,protocol=icmp").update(delay="1ms")
