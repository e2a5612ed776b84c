"""Frames of segmentation offload meet the same fate, packet by packet, as if each packet had come alone."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.segments import SegmentTrain, sealed
from testbed.impairments import (
    CERTAIN,
    Bottleneck,
    CoDel,
    CorrelatedLoss,
    Corruption,
    Drop,
    DropHead,
    DropTail,
    DualPi2,
    FixedRate,
    FourState,
    FqCoDel,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
    LossSteps,
    Pie,
    Policer,
    RandomEvent,
    RateSteps,
    Reorder,
)
from tests.offloaded import datagrams, stream

MS = 10**6
probabilities = st.sampled_from([1, CERTAIN // 50, CERTAIN // 3, CERTAIN]) | st.integers(1, CERTAIN)
events = st.builds(RandomEvent, probability=probabilities)
losses = st.one_of(
    st.builds(IndependentLoss, probability=probabilities),
    st.builds(CorrelatedLoss, probability=probabilities, correlation=st.integers(1, CERTAIN - 1)),
    st.builds(
        GilbertElliott,
        to_bad=probabilities,
        to_good=probabilities,
        loss_good=st.just(0) | probabilities,
        loss_bad=st.just(CERTAIN) | probabilities,
    ),
    st.just(FourState(p13=CERTAIN // 20, p31=CERTAIN // 3, p32=CERTAIN // 5, p23=CERTAIN // 2, p14=CERTAIN // 50)),
    st.just(LossSteps(starts_ns=(0, MS), probabilities=(0, CERTAIN // 2), period_ns=2 * MS)),
)
disciplines = st.sampled_from(
    [DropTail(), DropTail(), DropTail(), DropHead(), CoDel(ecn=True), FqCoDel(ecn=True), Pie(ecn=True), DualPi2()]
)
rates = st.builds(FixedRate, bps=st.sampled_from([3 * 10**6, 10**7, 33_333_333, 10**9, 10**12])) | st.just(
    RateSteps(starts_ns=(0, MS), rates_bps=(10**7, 10**8), period_ns=2 * MS)
)
bottlenecks = st.builds(
    Bottleneck,
    rate=rates,
    queue_bytes=st.integers(100, 5000),
    discipline=disciplines,
    overhead_bytes=st.integers(0, 24),
)
plain_bottlenecks = st.builds(
    Bottleneck,
    rate=st.builds(FixedRate, bps=st.sampled_from([3 * 10**6, 10**7, 33_333_333, 10**9, 10**12])),
    queue_bytes=st.integers(100, 5000),
)


@st.composite
def all_impairments(draw):
    simple = draw(st.booleans())  # for these a link keeps the packets of a frame together
    delay = draw(st.sampled_from([0, 1, 1000, MS]) | st.integers(0, 10 * MS))
    rest = {}
    if not simple:
        jitter = draw(st.integers(0, delay))
        rest = {
            "jitter": Jitter(ns=jitter, keeps_order=draw(st.booleans())) if jitter else None,
            "drops": draw(st.sampled_from([(), (Drop(every=3),), (Drop(protocol="tcp", flags="p", numbers=(1, 3)),)])),
            "policer": draw(st.none() | st.just(Policer(rate_bps=10**7, burst_bytes=3000))),
            "corruption": draw(st.none() | st.builds(Corruption, event=events, fix_checksum=st.booleans())),
            "duplicate": draw(st.none() | events),
            "reorder": draw(st.none() | st.builds(Reorder, event=events)),
        }
    return Impairments(
        delay_ns=delay,
        loss=draw(st.none() | losses),
        bottleneck=draw(plain_bottlenecks | st.none() if simple else st.none() | bottlenecks),
        **rest,
    )


def frame(random):
    """A frame of one to 12 packets."""
    segment = random.choice([100, 333, 1000])
    payload = segment * random.randint(0, 11) + random.choice([1, 50, segment])
    if random.random() < 0.3:
        return datagrams(payload, segment, ipv6=random.random() < 0.5)
    flags = random.choice(["a", "pa", "fpa", "wea"])
    return stream(payload, segment, flags, ipv6=random.random() < 0.5, tos=random.randrange(3))


def steps(random):
    """What happens to a link: after some time, or about when a packet is due (None), frames come or packets leave."""
    for _ in range(40):
        wait = random.choice([0, 1000, MS // 10, random.randrange(3 * MS), None, None])
        yield wait, random.choice([0, 0, 1, -1]), [frame(random) for _ in range(random.choice([0, 0, 1, 1, 2, 3]))]


def apart(packet):
    """The packets on the wire."""
    if isinstance(packet, SegmentTrain):
        return [packet.part(number, number + 1).packet() for number in range(packet.count)]
    return [sealed(packet)]


@given(first=all_impairments(), later=st.lists(all_impairments(), max_size=2), seed=st.integers(0, 2**64 - 1))
def test_packets_of_a_frame_have_the_fate_of_single_packets(first, later, seed):
    random = Random(seed)
    whole, alone = LinkEmulator(first, seed, 0), LinkEmulator(first, seed, 0)
    now = 0

    def released(link):
        return [each for packet in link.release(now, 10**6) for each in apart(packet)]

    changes = [step for impairments in later for step in (impairments, *steps(random))]
    for step in [*steps(random), *changes, (10**12, 0, []), (10**12, 0, [])]:
        if isinstance(step, Impairments):
            whole.replace(step, now)
            alone.replace(step, now)
        else:
            wait, more, packets = step
            due = alone.next_wakeup()
            now = max(now, (now + wait if wait is not None else now if due is None else due) + more)
            if packets:
                single = [each for packet in packets for each in apart(packet)]
                assert whole.accept(packets, now) == alone.accept(single, now) == len(single)
            else:
                assert released(whole) == released(alone)
        assert whole.stats(now) == alone.stats(now)
        assert whole.next_wakeup() == alone.next_wakeup()
