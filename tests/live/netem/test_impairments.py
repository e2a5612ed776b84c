"""What the kernel engine does to packets, one impairment at a time, by the counts of ping, nstat and iperf3."""

import itertools
import random
import re
import statistics
from dataclasses import asdict

import pytest

from testbed.engines.counters import Counters
from testbed.impairments import (
    CERTAIN,
    Bottleneck,
    Cake,
    CoDel,
    CorrelatedLoss,
    Corruption,
    FixedRate,
    FourState,
    FqCoDel,
    GilbertElliott,
    Impairments,
    Jitter,
    Pie,
    RandomEvent,
    Red,
    Reorder,
)
from testbed.impairments.distributions import SCALE, quantiles
from testbed.statistics import binomial_test

pytestmark = pytest.mark.netem

MS = 1_000_000
MBIT = 1_000_000
UNLIKELY = 0.001


def chance(probability, correlation=0.0):
    return RandomEvent(probability=round(probability * CERTAIN), correlation=round(correlation * CERTAIN))


def fates(path, count):
    """Of each datagram, in order, whether it was lost."""
    came = {arrival.number for arrival in path.send(count)}
    return [number not in came for number in range(count)]


def bursts(lost):
    """The lengths of the runs of lost packets."""
    return [len(list(run)) for gone, run in itertools.groupby(lost) if gone]


def test_gilbert_elliott_loses_in_bursts(path):
    """Geometric with the mean 1 / to_good = 4, at 2 / (2 + 25) of the packets; of single losses it were 1.1."""
    path.apply(Impairments(loss=GilbertElliott(to_bad=CERTAIN // 50, to_good=CERTAIN // 4)))
    runs = bursts(fates(path, 20_000))
    assert 3.3 <= statistics.mean(runs) <= 4.7  # about 370 bursts, standard deviation 3.5 / sqrt(370)
    assert 290 <= len(runs) <= 450


def test_gilbert_elliott_loses_some_in_each_state(path):
    """Half of the packets are in each; the average of the two probabilities is lost."""
    model = GilbertElliott(to_bad=CERTAIN // 2, to_good=CERTAIN // 2, loss_good=CERTAIN // 10, loss_bad=CERTAIN // 2)
    path.apply(Impairments(loss=model))
    assert binomial_test(sum(fates(path, 5000)), 5000, 0.3) > UNLIKELY


def test_four_states_lose_one_packet_alone(path):
    path.apply(Impairments(loss=FourState(p13=0, p31=CERTAIN, p32=0, p23=0, p14=CERTAIN // 10)))
    lost = fates(path, 5000)
    assert set(bursts(lost)) == {1}
    followed = 5000 - sum(lost)  # each packet that arrived, but one after a loss, had its chance of 10 %
    assert binomial_test(sum(lost), followed, 0.1) > UNLIKELY


def test_four_states_deliver_within_a_burst(path):
    """Once in the burst it never ends; half of what is lost is followed by a packet that arrives, and the other way."""
    path.apply(Impairments(loss=FourState(p13=CERTAIN, p31=0, p32=CERTAIN // 2, p23=CERTAIN // 2, p14=0)))
    lost = fates(path, 5000)
    assert lost[0]
    assert binomial_test(sum(lost), 5000, 0.5) > UNLIKELY


def test_correlated_loss_is_netems(path):
    """The recurrence of `get_crandom`, run here, says how often a loss follows a loss; without it that were half."""
    path.apply(Impairments(loss=CorrelatedLoss(probability=CERTAIN // 2, correlation=CERTAIN // 2)))
    lost = fates(path, 10_000)
    generator = random.Random(1)
    last, simulated = 0.5, []
    for _ in range(100_000):
        last = 0.5 * generator.random() + 0.5 * last
        simulated.append(last < 0.5)
    assert abs(repeated(lost) - repeated(simulated)) < 0.04  # 5000 losses: the deviation is 0.007
    assert repeated(lost) > 0.58


def repeated(lost):
    """How often a loss follows a loss."""
    return sum(one and other for one, other in itertools.pairwise(lost)) / sum(lost[:-1])


def test_duplicates_arrive_twice(path):
    path.apply(Impairments(duplicate=chance(0.2)))
    numbers = [arrival.number for arrival in path.send(5000)]
    assert set(numbers) == set(range(5000))
    assert binomial_test(len(numbers) - 5000, 5000, 0.2) > UNLIKELY


def test_duplicates_share_the_bottleneck(path):
    path.apply(
        Impairments(
            duplicate=RandomEvent(probability=CERTAIN),
            bottleneck=Bottleneck(rate=FixedRate(bps=20 * MBIT), queue_bytes=50_000),
        )
    )
    assert path.ping("-c", "20", "-i", "0.01", "-w", "60").count("(DUP!)") >= 19  # ping ends at the first of the last
    before = path.counted()
    assert len(path.send(20)) == 40
    assert path.counted().packets_out == before.packets_out + 40


def test_corruption_fails_the_checksum(path):
    """Of the 1442 bytes of the frame 1408 are the ICMP message's; in the headers before it, other things happen."""
    path.apply(Impairments(corruption=Corruption(event=chance(0.3))))
    sent = 600

    def errors():
        [number] = re.findall(r"IcmpInCsumErrors +(\d+)", path.run(path.b, "nstat", "-asz", "IcmpInCsumErrors"))
        return int(number)

    before = errors()
    answered = path.round_trips(path.ping("-c", str(sent), "-i", "0.001", "-s", "1400", "-W", "1"))
    failed = errors() - before
    assert binomial_test(failed, sent, 0.3 * 1408 / 1442) > UNLIKELY
    assert binomial_test(sent - len(answered), sent, 0.3) > UNLIKELY


def test_every_fifth_packet_overtakes(path):
    path.apply(Impairments(delay_ns=500 * MS, reorder=Reorder(event=RandomEvent(probability=CERTAIN), gap=5)))
    numbers = [arrival.number for arrival in path.send(1000)]
    early = list(range(4, 1000, 5))
    assert numbers == early + [number for number in range(1000) if number not in early]


def test_some_packets_overtake(path):
    path.apply(Impairments(delay_ns=500 * MS, reorder=Reorder(event=chance(0.25))))
    arrivals = path.send(2000)
    early = [arrival for arrival in arrivals if arrival.delay < 500 * MS]
    assert len(arrivals) == 2000
    assert binomial_test(len(early), 2000, 0.25) > UNLIKELY
    assert arrivals[: len(early)] == early


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_jitter_has_its_distribution_and_may_reorder(path, distribution):
    """By its quartiles, again where the machine may have stood still."""
    jitter = Jitter(ns=50 * MS, distribution=distribution, keeps_order=False)
    path.apply(Impairments(delay_ns=200 * MS, jitter=jitter))
    table = quantiles(distribution) or range(-SCALE, SCALE + 1)
    asked = [200 * MS + 50 * MS * table[quarter * len(table) // 4] // SCALE for quarter in range(4)]
    for _ in range(3):
        arrivals = path.send(2000, gap_s=0.0005)
        delays = sorted(arrival.delay for arrival in arrivals)
        assert len(delays) == 2000
        assert delays[0] >= asked[0]
        assert arrivals != sorted(arrivals, key=lambda arrival: arrival.number)
        late = [delays[quarter * 500] - asked[quarter] for quarter in (1, 2, 3)]
        if max(map(abs, late)) < 7 * MS:
            break
    assert max(map(abs, late)) < 7 * MS


def test_a_table_gives_way_to_another(path):
    """netem never forgets a table that it was given, so an even spread is a table too."""
    steps = Jitter(ns=200 * MS, distribution=(-8192, 8192), keeps_order=False)
    path.apply(Impairments(delay_ns=400 * MS, jitter=steps))
    delays = [arrival.delay for arrival in path.send(200, gap_s=0.005)]  # so that few are late if the machine is
    assert min(delays) >= 200 * MS
    assert sum(400 * MS <= delay < 600 * MS for delay in delays) < 20
    path.apply(Impairments(delay_ns=400 * MS, jitter=Jitter(ns=200 * MS, keeps_order=False)))
    delays = [arrival.delay for arrival in path.send(200)]
    assert sum(400 * MS <= delay < 600 * MS for delay in delays) > 60


@pytest.mark.parametrize("discipline", [CoDel, FqCoDel])
def test_codel_drops_before_the_queue_is_full(path, discipline):
    """A TCP stream into half a second of queue."""
    path.apply(
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10 * MBIT), queue_bytes=625_000, discipline=discipline()))
    )
    counted = tcp(path)
    assert counted.early_drops > counted.queue_drops == 0
    assert counted.lost == counted.marked == 0


@pytest.mark.parametrize(
    "discipline",
    [Pie(), Red(min_bytes=15_000, max_bytes=60_000, gentle=False), Cake()],
    ids=lambda discipline: discipline.kind,
)
def test_other_active_queues_drop_before_the_queue_is_full(path, discipline):
    """A TCP stream into a long queue; what the kernel says of the discipline is read by its own tc."""
    queue_bytes = 4_000_000
    path.apply(
        Impairments(
            bottleneck=Bottleneck(rate=FixedRate(bps=10 * MBIT), queue_bytes=queue_bytes, discipline=discipline)
        )
    )
    shown = path.run(path.switch, "tc", "qdisc", "show", "dev", "link0")
    assert f"qdisc {discipline.kind} " in shown
    counted = tcp(path)
    assert counted.early_drops > counted.queue_drops == 0
    assert counted.lost == counted.marked == 0


def test_the_kernel_says_the_settings_of_red_and_pie(path):
    red = Red(min_bytes=15_000, max_bytes=60_000, probability=CERTAIN // 10, gentle=False, ecn=True)
    for discipline, words in (
        (red, ("min 15000b max 60000b", "ecn", "limit 200000b")),
        (Pie(target_ns=20 * MS, ecn=True), ("target 20ms", "ecn", "limit 132p")),
    ):
        path.apply(
            Impairments(
                bottleneck=Bottleneck(rate=FixedRate(bps=10 * MBIT), queue_bytes=200_000, discipline=discipline)
            )
        )
        shown = path.run(path.switch, "tc", "qdisc", "show", "dev", "link0")
        assert all(word in shown for word in words), shown


@pytest.mark.parametrize("discipline", [CoDel, FqCoDel])
def test_ecn_marks_instead_of_dropping(path, discipline):
    """Control packets and what is sent again can't be marked (RFC 3168)."""
    path.apply(Impairments())
    for node in (path.a, path.b):
        path.run(node, "sysctl", "-qw", "net.ipv4.tcp_ecn=1")
    path.apply(
        Impairments(
            bottleneck=Bottleneck(rate=FixedRate(bps=10 * MBIT), queue_bytes=625_000, discipline=discipline(ecn=True))
        )
    )
    counted = tcp(path)
    for node in (path.a, path.b):
        path.run(node, "sysctl", "-qw", "net.ipv4.tcp_ecn=2")
    assert counted.marked > 0
    assert counted.early_drops <= counted.marked // 5


def tcp(path):
    """What two seconds of TCP add to the link's counters."""
    before = asdict(path.counted())
    server = path.serve_iperf3()
    path.run(path.a, "iperf3", "-c", path.address_b, "-t", "2", "-i", "0")
    server.communicate()
    after = asdict(path.counted())
    return Counters(**{name: after[name] - count for name, count in before.items() if count is not None})
