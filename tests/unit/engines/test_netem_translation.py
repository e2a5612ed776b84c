import itertools

import pytest

from testbed.engines.netem import translation
from testbed.engines.netem.qdiscs import GemodelLoss, StateLoss
from testbed.engines.netem.queues import Bfifo, Codel, FqCodel
from testbed.impairments import (
    CERTAIN,
    Blackhole,
    Bottleneck,
    CoDel,
    CorrelatedLoss,
    Corruption,
    DropTail,
    FixedRate,
    FourState,
    FqCoDel,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
    RandomEvent,
    Reorder,
    TokenBucket,
)
from testbed.impairments.distributions import quantiles

MBIT = 1_000_000
MS = 1_000_000
U32_MAX = (1 << 32) - 1
SOME = RandomEvent(probability=1000, correlation=100)


def test_loss_is_the_threshold_that_gives_the_probability():
    """netem drops at or below its threshold, so v means (v + 1) / 2^32, but for 0, which means never."""
    assert translation.emulator(Impairments()).loss == 0
    assert translation.emulator(Impairments(loss=IndependentLoss(probability=CERTAIN // 2))).loss == CERTAIN // 2 - 1
    assert translation.emulator(Impairments(loss=IndependentLoss(probability=CERTAIN))).loss == U32_MAX
    assert translation.emulator(Impairments(loss=Blackhole())).loss == U32_MAX


def test_every_chance_has_its_probability_and_correlation():
    netem = translation.emulator(Impairments(loss=CorrelatedLoss(probability=1000, correlation=100)))
    assert (netem.loss, netem.loss_correlation, netem.loss_model) == (999, 99, None)
    netem = translation.emulator(Impairments(duplicate=SOME))
    assert (netem.duplicate, netem.duplicate_correlation) == (999, 99)
    netem = translation.emulator(Impairments(corruption=Corruption(event=SOME)))
    assert (netem.corrupt, netem.corrupt_correlation) == (999, 99)
    netem = translation.emulator(Impairments(reorder=Reorder(event=SOME, gap=7)))
    assert (netem.reorder, netem.reorder_correlation, netem.gap) == (999, 99, 7)


def test_reordering_of_any_packet_is_a_gap_of_one():
    """Without a gap netem does not reorder at all; with one it does even at the threshold 0, once in 2^32."""
    assert translation.emulator(Impairments(reorder=Reorder(event=SOME))).gap == 1
    assert translation.emulator(Impairments()).gap == 0


def test_gilbert_elliott_is_in_the_kernels_terms():
    """h is what arrives in the bad state: a packet is lost there when a 32-bit number is more."""
    model = GilbertElliott(to_bad=10, to_good=20, loss_good=30, loss_bad=CERTAIN - 40)
    assert translation.emulator(Impairments(loss=model)).loss_model == GemodelLoss(p=10, r=20, h=39, k1=30)
    model = GilbertElliott(to_bad=CERTAIN, to_good=CERTAIN, loss_good=CERTAIN, loss_bad=CERTAIN)
    assert translation.emulator(Impairments(loss=model)).loss_model == GemodelLoss(
        p=U32_MAX, r=U32_MAX, h=0, k1=U32_MAX
    )


def test_four_states_never_add_up_to_more_than_the_kernel_can_count():
    model = FourState(p13=CERTAIN - 5, p14=5, p31=CERTAIN, p32=0, p23=7)
    assert translation.emulator(Impairments(loss=model)).loss_model == StateLoss(
        p13=U32_MAX - 5, p14=5, p31=U32_MAX, p32=0, p23=7
    )


def test_jitter_is_drawn_from_a_table():
    def table(distribution):
        jitter = Jitter(ns=9, distribution=distribution, keeps_order=False)
        return translation.emulator(Impairments(delay_ns=9, jitter=jitter)).delay_table

    even = table("uniform")
    assert {later - earlier for earlier, later in itertools.pairwise(even)} == {1}
    assert (even[0], even[-1]) == (-8191, 8191)
    assert table("normal") == quantiles("normal")
    assert translation.emulator(Impairments(delay_ns=9)).delay_table == ()


def test_packets_in_flight_have_room():
    def room(delay_ns, **more):
        return translation.emulator(Impairments(delay_ns=delay_ns, **more)).limit

    assert room(0) == 1_000
    assert room(40 * MS) == 41_000
    assert room(40 * MS, jitter=Jitter(ns=10 * MS)) == 81_000
    assert room(3_600_000 * MS) == 1_000 + (1 << 20)
    assert room(0, bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=34_000)) == 2_000


@pytest.mark.parametrize("rate_bps", [8_000, 10 * MBIT, 10_000 * MBIT])
def test_the_bucket_holds_a_frame_and_a_millisecond(rate_bps):
    bottleneck = Bottleneck(rate=FixedRate(bps=rate_bps), queue_bytes=100_000, overhead_bytes=24)
    tbf = translation.transmitter(bottleneck, mtu=1500)
    assert (tbf.rate, tbf.limit, tbf.overhead) == (rate_bps // 8, 100_000, 24)
    least_ns = (1514 + 24) * 8_000_000_000 / rate_bps + 1_000_000
    assert least_ns <= tbf.buffer * 64 < least_ns + 64


def test_a_burst_is_the_bucket_and_its_peak_has_a_bucket_of_a_frame_and_a_millisecond():
    def tbf(**bucket):
        bottleneck = Bottleneck(rate=TokenBucket(bps=8 * MBIT, burst_bytes=10**6, **bucket), queue_bytes=100_000)
        return translation.transmitter(bottleneck, mtu=1500)

    assert (tbf().rate, tbf().buffer * 64, tbf().peak, tbf().mtu) == (MBIT, 1000 * MS, 0, 0)
    assert (tbf(peak_bps=80 * MBIT).peak, tbf(peak_bps=80 * MBIT).buffer * 64) == (10 * MBIT, 1000 * MS)
    assert 1514 * 100 + MS <= tbf(peak_bps=80 * MBIT).mtu * 64 < 1514 * 100 + MS + 64


def test_no_rate_is_a_bottleneck_that_drops_and_delays_nothing():
    tbf = translation.transmitter(None, mtu=1500)
    assert tbf.limit == U32_MAX
    assert tbf.buffer * 64 * tbf.rate // 1_000_000_000 > 1 << 30  # bytes that pass at once
    assert translation.queue(None, mtu=1500) == Bfifo(limit=U32_MAX)


def test_a_queue_is_in_bytes_or_in_full_frames():
    def queue(discipline):
        bottleneck = Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=15_140, discipline=discipline)
        return translation.queue(bottleneck, mtu=1500)

    assert queue(DropTail()) == Bfifo(limit=15_140)
    assert queue(CoDel()) == Codel(limit=10, target=4883, interval=97656, ecn=False)
    assert queue(FqCoDel(ecn=True, target_ns=1024, interval_ns=2048)) == FqCodel(
        limit=10, target=1, interval=2, ecn=True, quantum=1514
    )
