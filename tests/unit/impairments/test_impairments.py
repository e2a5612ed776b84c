"""The vocabulary of engines and plan: what may not be, what crosses JSON, and how it reads."""

import json

import pytest

from testbed import codec
from testbed.decisive import decisive
from testbed.impairments import (
    CERTAIN,
    CLEAR,
    Blackhole,
    Bottleneck,
    CoDel,
    CorrelatedLoss,
    Corruption,
    DelaySteps,
    Drop,
    DualPi2,
    FixedRate,
    FourState,
    FqCoDel,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
    LossSteps,
    Opportunities,
    Pie,
    Policer,
    RandomEvent,
    RateSteps,
    Red,
    Reorder,
    Times,
)

MS = 10**6
FOUR = {"p13": 0, "p31": 0, "p32": 0, "p23": 0, "p14": 0}
SOME = RandomEvent(probability=CERTAIN // 100, correlation=CERTAIN // 4)
STEPS = RateSteps(starts_ns=(0, 10 * MS), rates_bps=(8_000_000, 2_000_000), period_ns=40 * MS)
HANDOVER = DelaySteps(starts_ns=(0, 1), delays_ns=(10, 30), period_ns=2)
OPPORTUNITIES = Opportunities(times_ns=Times((0, 1 * MS, 1 * MS, 2 * MS)), frame_bytes=1514, period_ns=4 * MS)
QUEUE = Bottleneck(rate=STEPS, queue_bytes=64_000)

SHAPES = {
    "clear": CLEAR,
    "delay 40 ms, jitter 4 ms, loss 2 %": Impairments(
        delay_ns=40 * MS, jitter=Jitter(ns=4 * MS), loss=IndependentLoss(probability=85899346)
    ),
    "delay 40 ms, jitter 4 ms normal correlated by 25 % in any order": Impairments(
        delay_ns=40 * MS, jitter=Jitter(ns=4 * MS, distribution="normal", correlation=CERTAIN // 4, keeps_order=False)
    ),
    "delay 1 ms, jitter 1 ms table": Impairments(delay_ns=MS, jitter=Jitter(ns=MS, distribution=(-8192, 8192))),
    "loss 1 % correlated by 25 %": Impairments(
        loss=CorrelatedLoss(probability=CERTAIN // 100, correlation=CERTAIN // 4)
    ),
    "loss 2.44 % in bursts of 4": Impairments(loss=GilbertElliott(to_bad=CERTAIN // 160, to_good=CERTAIN // 4)),
    "loss 0 % (good) and 50 % (bad, entered 1 %, left 25 %)": Impairments(
        loss=GilbertElliott(to_bad=CERTAIN // 100, to_good=CERTAIN // 4, loss_bad=CERTAIN // 2)
    ),
    "loss of four states (p13 25 %, p31 50 %, p32 0 %, p23 100 %, p14 0 %)": Impairments(
        loss=FourState(p13=CERTAIN // 4, p31=CERTAIN // 2, p32=0, p23=CERTAIN, p14=0)
    ),
    "drop no. 3, 17 of all, drop no. 1 of tcp flags sA port 80, drop every 5. of udp with payload": Impairments(
        drops=(
            Drop(numbers=(3, 17)),
            Drop(protocol="tcp", flags="sA", port=80, numbers=(1,)),
            Drop(protocol="udp", payload=True, every=5),
        )
    ),
    "delay 1 ms, corrupt 1 % correlated by 25 % with the right checksum, duplicate 1 % correlated by 25 %, "
    "reorder 1 % correlated by 25 % of every 5. ahead": Impairments(
        delay_ns=MS,
        corruption=Corruption(event=SOME, fix_checksum=True),
        duplicate=SOME,
        reorder=Reorder(event=SOME, gap=5),
    ),
    "reorder 1 % 10 ms late": Impairments(
        reorder=Reorder(event=RandomEvent(probability=CERTAIN // 100), late_ns=10 * MS)
    ),
    "rate 8 mbit/s, overhead 4 B, queue 64 KB codel with ECN": Impairments(
        bottleneck=Bottleneck(
            rate=FixedRate(bps=8_000_000), queue_bytes=64_000, overhead_bytes=4, discipline=CoDel(ecn=True)
        )
    ),
    "rate 3.5 mbit/s on average, by trace, queue 64 KB": Impairments(
        bottleneck=Bottleneck(rate=STEPS, queue_bytes=64_000)
    ),
    "rate 12.1 mbit/s on average, by trace, queue 64 KB": Impairments(
        bottleneck=Bottleneck(rate=OPPORTUNITIES, queue_bytes=64_000)
    ),
}


@pytest.mark.parametrize("words", SHAPES)
def test_describe_impairments_in_words(words):
    assert SHAPES[words].describe() == words


@pytest.mark.parametrize("impairments", SHAPES.values(), ids=list(SHAPES))
def test_through_json_and_back(impairments):
    assert codec.decode(json.loads(json.dumps(codec.encode(impairments))), Impairments) == impairments


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (RandomEvent, {"probability": 0}, "not between"),
        (IndependentLoss, {"probability": 0}, "not between"),
        (CorrelatedLoss, {"probability": 1, "correlation": 0}, "not between"),
        (FourState, {**FOUR, "p13": CERTAIN, "p14": CERTAIN // 2}, "p13 and p14 add up to 150 %"),
        (FourState, {**FOUR, "p31": CERTAIN, "p32": 1}, "p31 and p32 add up to 100"),
        (Drop, {}, "which packets"),
        (Drop, {"numbers": (0,)}, "from 1"),
        (Drop, {"numbers": (3, 3)}, "ascend"),
        (Drop, {"every": -1}, "from 1"),
        (Drop, {"every": 2, "protocol": "sctp"}, "no protocol"),
        (Drop, {"every": 2, "protocol": "icmp", "port": 80}, "ports"),
        (Drop, {"every": 2, "port": 65536}, "no port"),
        (Drop, {"every": 2, "flags": "s"}, "only tcp"),
        (Drop, {"every": 2, "protocol": "tcp", "flags": "x"}, "flags"),
        (Drop, {"every": 2, "protocol": "tcp", "flags": "sS"}, "flags"),
        (Reorder, {"event": SOME, "gap": -1}, "negative"),
        (Reorder, {"event": SOME, "late_ns": -1}, "negative"),
        (Opportunities, {"times_ns": Times(()), "frame_bytes": 1, "period_ns": 1}, "never"),
        (Opportunities, {"times_ns": Times((0,)), "frame_bytes": 0, "period_ns": 1}, "never"),
        (Opportunities, {"times_ns": Times((0,)), "frame_bytes": 1, "period_ns": 0}, "never"),
        (Opportunities, {"times_ns": Times((2,)), "frame_bytes": 1, "period_ns": 1}, "outside"),
        (Times, {"times_ns": (2, 1)}, "ascend"),
        (Times, {"times_ns": (-1, 1)}, "before 0"),
        (RateSteps, {"starts_ns": (0, 1), "rates_bps": (1,), "period_ns": 2}, "2 starts"),
        (RateSteps, {"starts_ns": (0,), "rates_bps": (0,), "period_ns": 2}, "zero"),
        (RateSteps, {"starts_ns": (1,), "rates_bps": (1,), "period_ns": 2}, "ascend"),
        (RateSteps, {"starts_ns": (0, 2), "rates_bps": (1, 1), "period_ns": 2}, "ascend"),
        (RateSteps, {"starts_ns": (), "rates_bps": (), "period_ns": 2}, "ascend"),
        (DelaySteps, {"starts_ns": (0,), "delays_ns": (-1,), "period_ns": 2}, "negative"),
        (DelaySteps, {"starts_ns": (0, 1), "delays_ns": (1, 2), "period_ns": 1}, "ascend"),
        (LossSteps, {"starts_ns": (0,), "probabilities": (0,), "period_ns": 2}, "highest probability"),
        (LossSteps, {"starts_ns": (0,), "probabilities": (CERTAIN + 1,), "period_ns": 2}, "highest probability"),
        (Policer, {"rate_bps": 0, "burst_bytes": 1}, "nothing pass"),
        (Policer, {"rate_bps": 1, "burst_bytes": 0}, "nothing pass"),
        (Pie, {"target_ns": 0}, "more than 0"),
        (DualPi2, {"step_ns": 0}, "more than 0"),
        (Red, {"min_bytes": 2, "max_bytes": 2}, "ascend"),
        (Red, {"min_bytes": 1, "max_bytes": 2, "probability": 0}, "probability"),
        (FixedRate, {"bps": 0}, "no limit"),
        (CoDel, {"target_ns": 0}, "more than 0"),
        (FqCoDel, {"interval_ns": 0}, "more than 0"),
        (Bottleneck, {"rate": STEPS, "queue_bytes": 0}, "holds nothing"),
        (Jitter, {"ns": 0}, "no jitter is None"),
        (Jitter, {"ns": 1, "distribution": ()}, "empty"),
        (Impairments, {"jitter": Jitter(ns=1)}, "more than the delay"),
        (Impairments, {"delay_ns": 5, "delay_trace": HANDOVER}, "mean"),
        (Impairments, {"delay_ns": 20, "delay_trace": HANDOVER, "jitter": Jitter(ns=11)}, "more than the delay, 10"),
        (Impairments, {"bottleneck": QUEUE, "hidden_bottleneck": QUEUE}, "one bottleneck"),
    ],
)
def test_invalid_impairments_are_refused(kind, values, words):
    with pytest.raises(ValueError, match=words):
        kind(**values)


def test_the_longest_that_a_packet_is_under_way_has_every_part():
    assert Impairments().longest_ns == 0
    assert Impairments(delay_ns=5, jitter=Jitter(ns=3)).longest_ns == 8
    assert Impairments(delay_ns=5, jitter=Jitter(ns=3, distribution="normal")).longest_ns == 5 + 4 * 3
    assert Impairments(delay_ns=5, reorder=Reorder(event=SOME, late_ns=7)).longest_ns == 12
    assert (
        Impairments(delay_ns=5, bottleneck=Bottleneck(rate=FixedRate(bps=8000), queue_bytes=1000)).longest_ns
        == 5 + 10**9
    )
    trace = RateSteps(starts_ns=(0,), rates_bps=(8000,), period_ns=10**9)
    assert Impairments(bottleneck=Bottleneck(rate=trace, queue_bytes=1000)).longest_ns == 2 * 10**9


@pytest.mark.parametrize(
    ("impairments", "same"),
    [
        (Impairments(loss=Blackhole(hidden=IndependentLoss(probability=1))), Impairments(loss=Blackhole())),
        (Impairments(hidden_bottleneck=QUEUE), CLEAR),
        (
            Impairments(bottleneck=Bottleneck(rate=STEPS, queue_bytes=9, queue_ns=7)),
            Impairments(bottleneck=Bottleneck(rate=STEPS, queue_bytes=9)),
        ),
    ],
)
def test_latent_impairments_are_stored_and_do_not_change_the_digest(impairments, same):
    assert impairments != same
    assert codec.decode(codec.encode(impairments), Impairments) == impairments
    assert decisive(impairments, str) == decisive(same, str)
    assert impairments.is_clear == same.is_clear
