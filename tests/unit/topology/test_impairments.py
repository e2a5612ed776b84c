"""What the keys of a link come to, and which of them cannot be had."""

import pytest

from testbed.impairments import (
    CERTAIN,
    Blackhole,
    Bottleneck,
    CoDel,
    CorrelatedLoss,
    Corruption,
    Drop,
    DropHead,
    FixedRate,
    FourState,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
    Opportunities,
    RandomEvent,
    RateSteps,
    Reorder,
    Times,
    TokenBucket,
)
from testbed.plan import resolve
from testbed.topology import TopologyError, load, loads
from testbed.topology.impairments import ImpairmentKeys
from testbed.topology.traces import FRAME_BYTES
from testbed.units import PROBABILITY

HEAD = "name: x\nnodes: {a: , b: }\nlinks:\n  - {from: a, to: b, "
PERCENT = PROBABILITY.parse("1%")
QUARTER = CERTAIN // 4
MS = 10**6


def impairments(keys, directory=None):
    links = resolve(loads(f"{HEAD}{keys}}}\n", "file.yml", directory)).links
    return links[0].impairments if links else Impairments()


def fault(keys, directory=None):
    with pytest.raises(TopologyError) as raised:
        loads(f"{HEAD}{keys}}}\n", "file.yml", directory)
    [problem] = raised.value.problems
    assert problem.line == 4
    return problem


ONE_PERCENT = RandomEvent(probability=PERCENT)
CORRELATED = RandomEvent(probability=PERCENT, correlation=QUARTER)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("delay: 9ms, jitter: 4ms", Impairments(delay_ns=9 * MS, jitter=Jitter(ns=4 * MS))),
        ("delay: 9ms, jitter: {spread: 4ms}", Impairments(delay_ns=9 * MS, jitter=Jitter(ns=4 * MS))),
        ("delay: 9ms, jitter: {spread: 0, distribution: normal, order: free}", Impairments(delay_ns=9 * MS)),
        (
            "delay: 9ms, jitter: {spread: 4ms, distribution: pareto, correlation: 25%, order: free}",
            Impairments(
                delay_ns=9 * MS, jitter=Jitter(ns=4 * MS, distribution="pareto", correlation=QUARTER, keeps_order=False)
            ),
        ),
        ("loss: 1%", Impairments(loss=IndependentLoss(probability=PERCENT))),
        ("loss: {rate: 1%}", Impairments(loss=IndependentLoss(probability=PERCENT))),
        (
            "loss: {rate: 1%, correlation: 25%}",
            Impairments(loss=CorrelatedLoss(probability=PERCENT, correlation=QUARTER)),
        ),
        ("loss: {rate: 0, correlation: 25%}", Impairments()),
        ("loss: {rate: 0, burst: 3}", Impairments()),
        ("loss: {rate: 50%, burst: 4}", Impairments(loss=GilbertElliott(to_bad=QUARTER, to_good=QUARTER))),
        (
            "loss: {rate: 20%, burst: 2.5}",
            Impairments(loss=GilbertElliott(to_bad=CERTAIN // 10, to_good=1717986918)),
        ),
        ("loss: {rate: 80%, burst: 4}", Impairments(loss=GilbertElliott(to_bad=CERTAIN, to_good=QUARTER))),
        ("loss: {to_bad: 1%, to_good: 25%}", Impairments(loss=GilbertElliott(to_bad=PERCENT, to_good=QUARTER))),
        (
            "loss: {to_bad: 1%, to_good: 25%, good: 1%, bad: 50%}",
            Impairments(loss=GilbertElliott(to_bad=PERCENT, to_good=QUARTER, loss_good=PERCENT, loss_bad=CERTAIN // 2)),
        ),
        (
            "loss: {p13: 1%, p31: 25%}",
            Impairments(loss=FourState(p13=PERCENT, p31=QUARTER, p32=0, p23=CERTAIN, p14=0)),
        ),
        ("blackhole: true", Impairments(loss=Blackhole())),
        (
            "blackhole: true, loss: 1%, delay: 1ms",
            Impairments(delay_ns=MS, loss=Blackhole(hidden=IndependentLoss(probability=PERCENT))),
        ),
        (
            "blackhole: true, loss: {rate: 1%, correlation: 25%}",
            Impairments(loss=Blackhole(hidden=CorrelatedLoss(probability=PERCENT, correlation=QUARTER))),
        ),
        ("blackhole: false, loss: 1%", Impairments(loss=IndependentLoss(probability=PERCENT))),
        ("drop: [3, 17]", Impairments(drops=(Drop(numbers=(3, 17)),))),
        ("drop: []", Impairments()),
        ("drop: {every: 50}", Impairments(drops=(Drop(every=50),))),
        ("drop: {first: syn}", Impairments(drops=(Drop(protocol="tcp", flags="sA", numbers=(1,)),))),
        (
            "drop: {first: data, port: 80}",
            Impairments(drops=(Drop(protocol="tcp", payload=True, port=80, numbers=(1,)),)),
        ),
        (
            "drop: [{packets: arp, every: 2}, {packets: ack, numbers: [1, 3]}, {first: udp, port: 53}]",
            Impairments(
                drops=(
                    Drop(protocol="arp", every=2),
                    Drop(protocol="tcp", flags="aSFR", payload=False, numbers=(1, 3)),
                    Drop(protocol="udp", port=53, numbers=(1,)),
                )
            ),
        ),
        (
            "rate: {rate: 8mbit, burst: 1MB}, queue: 20KB",
            Impairments(bottleneck=Bottleneck(rate=TokenBucket(bps=8 * 10**6, burst_bytes=10**6), queue_bytes=20_000)),
        ),
        (
            "rate: {rate: 8mbit, burst: 1MB, peak: 9mbit}, queue: 100ms",
            Impairments(
                bottleneck=Bottleneck(
                    rate=TokenBucket(bps=8 * 10**6, burst_bytes=10**6, peak_bps=9 * 10**6),
                    queue_bytes=100_000,
                    queue_ns=100 * MS,
                )
            ),
        ),
        ("corrupt: 1%, duplicate: 1%", Impairments(corruption=Corruption(event=ONE_PERCENT), duplicate=ONE_PERCENT)),
        ("corrupt: 0, duplicate: 0, reorder: 0", Impairments()),
        (
            "corrupt: {rate: 1%, correlation: 25%, checksum: fix}",
            Impairments(corruption=Corruption(event=CORRELATED, fix_checksum=True)),
        ),
        ("duplicate: {rate: 1%, correlation: 25%}", Impairments(duplicate=CORRELATED)),
        ("delay: 1ms, reorder: 1%", Impairments(delay_ns=MS, reorder=Reorder(event=ONE_PERCENT))),
        (
            "delay: 1ms, reorder: {rate: 1%, gap: 5}",
            Impairments(delay_ns=MS, reorder=Reorder(event=ONE_PERCENT, gap=5)),
        ),
        ("reorder: {rate: 1%, late: 10ms}", Impairments(reorder=Reorder(event=ONE_PERCENT, late_ns=10 * MS))),
        (
            "rate: 8mbit, overhead: 4B, queue: {limit: 10ms, discipline: codel, target: 2ms, interval: 9ms, ecn: true}",
            Impairments(
                bottleneck=Bottleneck(
                    rate=FixedRate(bps=8 * MS),
                    queue_bytes=10_000,
                    queue_ns=10 * MS,
                    overhead_bytes=4,
                    discipline=CoDel(target_ns=2 * MS, interval_ns=9 * MS, ecn=True),
                ),
            ),
        ),
        (
            "rate: 8mbit, queue: {discipline: drophead}",
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8 * MS), queue_bytes=15140, discipline=DropHead())),
        ),
        (
            "profile: lossy, rate: {trace: t.csv}, delay: 0, loss: 0, queue: 10ms",
            Impairments(
                bottleneck=Bottleneck(
                    rate=RateSteps(starts_ns=(0, 1000 * MS), rates_bps=(2 * MS, 14 * MS), period_ns=2000 * MS),
                    queue_bytes=10_000,
                    queue_ns=10 * MS,
                ),
            ),
        ),
    ],
)
def test_all_impairments(keys, expected, tmp_path):
    (tmp_path / "t.csv").write_text("0s,2mbit\n1s,14mbit\n")
    assert impairments(keys, tmp_path) == expected


@pytest.mark.parametrize(
    ("keys", "code", "words"),
    [
        ("delay: 1ms, jitter: {spread: 4ms}", "jitter-exceeds-delay", "jitter is 4 ms, more than the delay, 1 ms"),
        ("jitter: {distribution: normal}", "missing-key", 'lacks "spread"'),
        ("delay: 1ms, jitter: {spread: 1ms, distribution: gauss}", "unknown-value", "normal"),
        ("delay: 1ms, jitter: {spread: 1ms, table: d.txt, distribution: normal}", "conflicting-keys", "beside table"),
        ("loss: {rate: 90%, burst: 2}", "impossible-burst", "at most 66.67 %"),
        ("loss: {rate: 100%, burst: 2}", "impossible-burst", "links[0].loss.rate is 100 %"),
        ("loss: {rate: 0.00000003%, burst: 999999}", "impossible-burst", "too little"),
        ("loss: {rate: 2%, burst: 0.5}", "bad-value", "from 1 to 999999"),
        ("loss: {burst: 4}", "missing-key", 'lacks "rate"'),
        ("loss: {rate: 2%, brust: 4}", "unknown-key", 'did you mean "burst"?'),
        ("loss: {to_bad: 2%}", "missing-key", 'lacks "to_good"'),
        ("loss: {to_bad: 2%, to_good: 2%, burst: 4}", "unknown-key", '"burst"'),
        ("loss: {p13: 60%, p14: 60%, p31: 1%}", "impossible-loss", "p13 and p14 add up to 120 %"),
        ("loss: {p13: 6%, p31: 60%, p32: 41%}", "impossible-loss", "p31 and p32 add up to 101 %"),
        ("loss: [2%]", "wrong-type", "is a list"),
        ("port: 80", "unknown-key", "write drop: {port: ...} or match: {port: ...}"),
        ("blackhole: 1", "wrong-type", "true or false"),
        ("drop: 3", "wrong-type", "links[0].drop is 3"),
        ("drop: [3, 3]", "not-ascending", "drop[1] is 3, after 3"),
        ("drop: [0]", "out-of-range", "drop[0] is 0"),
        ("drop: {}", "missing-key", "which packets"),
        ("drop: {packets: syn}", "missing-key", "which packets"),
        ("drop: {first: syn, every: 3}", "conflicting-keys", "drop.every is given beside first"),
        ("drop: {first: syn, packets: syn}", "conflicting-keys", "drop.packets is given beside first"),
        ("drop: [{every: 3}, {numbers: [2, 1]}]", "not-ascending", "drop[1].numbers[1] is 1, after 2"),
        ("drop: {first: arp, port: 80}", "conflicting-keys", "arp has no ports"),
        ("drop: {first: sny}", "unknown-value", 'did you mean "syn"?'),
        ("reorder: 1%", "reorder-without-delay", "late: 10ms"),
        ("corrupt: {rate: 1%, checksum: right}", "unknown-value", "keep, fix"),
        ("overhead: 4B", "overhead-without-rate", "no rate"),
        ("rate: 1mbit, overhead: 2000B", "bad-value", "at most 1 KB"),
        ("queue: {discipline: codel}", "queue-without-rate", "no rate"),
        ("rate: 1mbit, queue: 100B", "queue-too-small", "one full frame, 1514 B"),
        ("rate: 1mbit, queue: {ecn: true}", "conflicting-keys", "codel, fq_codel"),
        ("rate: 1mbit, queue: {discipline: codel, target: 1s}", "target-exceeds-interval", "the interval, 100 ms"),
        ("rate: {rate: 1mbit}", "missing-key", 'lacks "burst"'),
        ("rate: {rate: 1mbit, burst: 1513B}", "burst-too-small", "1.513 KB, less than a full frame, 1514 B"),
        ("rate: {rate: 1mbit, burst: 1514B}, overhead: 4B", "burst-too-small", "a full frame, 1518 B"),
        ("rate: {rate: 2mbit, burst: 9KB, peak: 2mbit}", "peak-too-low", "must be more than 2 mbit/s"),
        ("rate: 1mbit, queue: 0", "bad-value", "policer: {rate: 10mbit, burst: 64KB}"),
        ("rate: {}", "missing-key", 'lacks "trace"'),
        ("rate: {trace: none.csv}", "bad-value", "no file"),
        ("rate: {trace: ../t.csv}", "bad-value", "not below"),
        ("rate: {trace: /etc/passwd}", "bad-value", "not below"),
        ("rate: {trace: .}", "bad-value", "no file"),
        ("rate: {trace: d.txt}", "bad-value", "line 1 is no whole number of milliseconds: '1.5ms'"),
        ("delay: 1ms, jitter: {spread: 1ms, table: same.txt}", "bad-value", "all the same"),
        ("delay: 1ms, jitter: {spread: 1ms, table: bytes.txt}", "bad-value", "UTF-8"),
    ],
)
def test_faults_are_errors_at_their_place(keys, code, words, tmp_path):
    (tmp_path / "d.txt").write_text("1.5ms\n2ms\n")
    (tmp_path / "same.txt").write_text("1\n1\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff")
    problem = fault(keys, tmp_path)
    assert problem.code == code
    assert words in str(problem)


def test_files_are_beside_the_topology_wherever_it_is_loaded_from(tmp_path):
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "t.trace").write_text("# ours\n1\n1\n4\n")
    path = tmp_path / "x.yml"
    path.write_text(f"{HEAD}rate: {{trace: traces/t.trace}}, queue: 20KB}}\n")
    [link] = resolve(load(path)).links
    assert link.impairments.bottleneck is not None
    assert link.impairments.bottleneck.rate == Opportunities(
        times_ns=Times((MS, MS, 4 * MS)), frame_bytes=FRAME_BYTES, period_ns=4 * MS
    )


def test_a_table_of_measured_delays(tmp_path):
    (tmp_path / "d.txt").write_text("\n".join(f"{value}us" for value in (30, 10, 20)))
    asked = impairments("delay: 9ms, jitter: {spread: 1ms, table: d.txt}", tmp_path)
    assert asked.jitter == Jitter(ns=MS, distribution=(-10033, 0, 10033))


def test_a_queue_in_bandwidth_delay_products_takes_the_mean_rate_of_a_trace(tmp_path):
    (tmp_path / "t.csv").write_text("0s,2mbit\n1s,14mbit\n")
    assert impairments("delay: 100ms, rate: {trace: t.csv}, queue: 2bdp", tmp_path).bottleneck.queue_bytes == 200_000


def test_impossible_impairments_are_refused():
    asked = ImpairmentKeys.model_validate({"jitter": "4ms"})
    with pytest.raises(ValueError, match="jitter is 4 ms, more than the delay"):
        asked.resolve(mtu=1500, delay_back_ns=0)
