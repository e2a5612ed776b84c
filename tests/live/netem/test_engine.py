"""The kernel engine, measured by ping and iperf3. Needs a kernel with sch_netem."""

import itertools
import json
import statistics
import subprocess

import pytest

from testbed.engines.netem import police, tree
from testbed.impairments import CERTAIN, Bottleneck, FixedRate, Impairments, IndependentLoss, Policer
from testbed.statistics import binomial_test
from tests import pings

pytestmark = pytest.mark.netem

MS = 1_000_000
MBIT = 1_000_000
FRAME, HEADERS = 1514, 42  # bytes of the longest frame, and of its Ethernet, IPv4 and UDP headers


def test_the_probe_leaves_nothing(path):
    def devices():
        return [each["ifname"] for each in json.loads(path.run(path.switch, "ip", "-json", "link"))]

    before = devices()
    assert path.runner.run(tree.probe(path.ip)) is None
    assert devices() == before


def test_a_delay_is_that_long(path):
    path.apply(Impairments(delay_ns=40 * MS))

    def median():
        times = path.pinged(21, 0.05)
        assert min(times) >= 40
        return statistics.median(times)

    assert pings.least(median, 41.5) <= 41.5


def test_a_loss_is_that_frequent_and_counted(path):
    path.apply(Impairments(loss=IndependentLoss(probability=CERTAIN // 10)))
    before = path.counted()
    sent = 3000
    received = len(path.send(sent))
    after = path.counted()
    assert binomial_test(sent - received, sent, 0.1) > 0.001
    assert after.lost - before.lost == sent - received
    assert after.packets_out - before.packets_out == received
    assert after.queue_drops == before.queue_drops


def test_a_loss_of_100_percent_loses_all_packets(path):
    path.apply(Impairments(loss=IndependentLoss(probability=CERTAIN)))
    assert " 0 received" in path.ping("-q", "-c", "20", "-i", "0.01", "-W", "1")


def test_a_policer_passes_its_burst_and_its_rate_and_can_change(path):
    """What passes is bounded by the time from the first sending to the last arrival; tc says the settings."""
    path.apply(Impairments())
    for policer, words in (
        (Policer(rate_bps=8 * MBIT, burst_bytes=20_000), "rate 8Mbit burst 20000b"),
        (Policer(rate_bps=4 * MBIT, burst_bytes=50_000), "rate 4Mbit burst 50000b"),
    ):
        path.runner.run(police.apply(path.ip, path.index, policer))
        shown = path.run(path.switch, "tc", "filter", "show", "dev", "link0", "egress")
        assert shown.count("police") == 1
        assert words in shown, shown
        arrivals = path.send(500, size=FRAME - 14)
        took_ns = max(arrival.came for arrival in arrivals) - min(arrival.sent for arrival in arrivals)
        passed = len(arrivals) * FRAME
        assert policer.burst_bytes - FRAME <= passed
        assert passed <= policer.burst_bytes + policer.rate_bps * (took_ns + 10 * MS) / 8e9
        assert path.runner.run(police.drops(path.ip, path.index)) == 500 - len(arrivals) > 0
    path.runner.run(police.remove(path.ip, path.index))
    assert len(path.send(500, size=FRAME - 14)) == 500


def test_this_kernel_has_all_parts(path):
    assert path.runner.run(tree.missing_parts(path.ip)) == frozenset()


def test_a_rate_has_its_own_queue(path):
    """20 Mbit/s into 10 Mbit/s and a queue of 100 ms: iperf3 gets the rate, and ping has to wait in the queue."""
    path.apply(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10 * MBIT), queue_bytes=125_000)))
    before = path.counted()
    server = path.serve_iperf3("--json")
    payload = FRAME - HEADERS
    client = path.start(path.a, "iperf3", "-c", path.address_b, "-u", "-b", "20M", "-t", "4", "-l", str(payload))
    path.until(lambda: path.counted().queued_bytes >= 0.9 * 125_000)
    times = path.round_trips(path.ping("-c", "11", "-i", "0.1")).values()
    under_load = [path.counted().queued_bytes for _ in range(20)]
    client.communicate()
    received = json.loads(server.communicate()[0])["end"]["sum_received"]

    waited = 1.05  # in the receiver's socket, before its clock started
    assert received["bits_per_second"] <= 10 * MBIT * payload / FRAME * waited
    assert statistics.median(times) >= 90
    assert 0.9 * 125_000 <= max(under_load) <= 125_000
    after = path.counted()
    assert after.queue_drops - before.queue_drops >= received["lost_packets"] > 0
    assert after.lost == before.lost


@pytest.mark.parametrize("overhead", [0, 38, FRAME])
def test_frames_follow_one_another_at_the_rate(path, overhead):
    """At 10 Mbit/s, counting the overhead. A busy machine lets the bottleneck idle now and then, but not mostly."""
    path.apply(
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10 * MBIT), queue_bytes=200_000, overhead_bytes=overhead))
    )
    arrivals = path.send(120, size=FRAME - 14)
    assert [arrival.number for arrival in arrivals] == list(range(120))
    frame_ns = (FRAME + overhead) * 8 * 100
    gaps = [later.came - earlier.came for earlier, later in itertools.pairwise(arrivals)]
    assert statistics.median(gaps) == pytest.approx(frame_ns, rel=0.01)
    assert arrivals[-1].came - arrivals[0].came >= 118 * frame_ns - 2 * MS


def test_a_rate_can_be_lifted_and_set_again_without_loss(path):
    """Ten frames take ten seconds at this rate; what waits when it is lifted is delivered at once."""
    slow = Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=11_536), queue_bytes=50_000))
    path.apply(slow)
    client = path.start(path.a, "ping", "-n", "-i", "0.02", "-s", "1400", "-w", "20", "-c", "10", path.address_b)
    path.until(lambda: path.counted().queued >= 8)
    path.apply(Impairments())
    answers = client.communicate()[0]
    assert len(path.round_trips(answers)) >= 10
    assert " 0% packet loss" in answers

    path.apply(slow)
    client = path.start(path.a, "ping", "-n", "-c", "3", "-i", "0.02", "-s", "1400", "-w", "20", path.address_b)
    first, second, third = path.round_trips(client.communicate()[0]).values()
    assert second - first >= 900
    assert third - second >= 900
    path.apply(Impairments())
    path.until(lambda: path.counted().queued == 0)


def test_packets_in_flight_keep_their_delay(path):
    path.apply(Impairments(delay_ns=2000 * MS))
    before = path.echos()
    client = path.start(path.a, "ping", "-n", "-c", "1", path.address_b)
    path.until(lambda: path.echos() > before)
    path.apply(Impairments())
    [time_ms] = path.round_trips(client.communicate()[0]).values()
    assert time_ms >= 2000


def test_impairments_are_replaced_as_a_whole(path):
    path.apply(
        Impairments(
            delay_ns=40 * MS,
            loss=IndependentLoss(probability=CERTAIN // 2),
            bottleneck=Bottleneck(rate=FixedRate(bps=10 * MBIT), queue_bytes=50_000),
        )
    )
    bad = show(path)
    assert bad["netem"]["delay"]["delay"] == pytest.approx(0.04)
    assert bad["netem"]["loss-random"]["loss"] == pytest.approx(0.5)
    assert bad["tbf"]["rate"] == 10 * MBIT // 8

    path.apply(Impairments(delay_ns=10 * MS))
    good = show(path)
    assert good["netem"]["delay"]["delay"] == pytest.approx(0.01)
    assert "loss-random" not in good["netem"]
    assert good["tbf"]["rate"] > 1 << 32
    assert path.pinged(20, 0.01)


def test_a_queue_has_room_for_as_many_packets_as_it_has_bytes(path):
    """Kernels since 2024 count those that wait in it against netem's limit too."""
    path.apply(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=125_000)))
    assert len(path.send(2000)) == 2000


def show(path):
    """The options of the link's queueing disciplines by kind, as tc reads them."""
    text = subprocess.check_output(["tc", "-n", path.switch, "-json", "qdisc", "show", "dev", "link0"])
    return {qdisc["kind"]: qdisc["options"] for qdisc in json.loads(text)}
