import asyncio

import pytest
from pyroute2 import AsyncIPRoute

from testbed.agent import netem
from testbed.agent.netem import engine
from testbed.agent.netem.messages import QdiscMessage
from testbed.agent.netem.qdiscs import FourState, GilbertElliott, Netem, Tbf
from testbed.errors import LabError
from testbed.shape import CERTAIN, Shape

MBIT = 1_000_000
NO_DEVICE = 0x7FFF_FFFF


@pytest.mark.parametrize(
    "shape",
    [
        Shape(),
        Shape(delay_ns=1, loss=2),
        Shape(delay_ns=3_600_000_000_000, loss=CERTAIN),
        Shape(rate_bps=8_000, queue_bytes=1514),
        Shape(rate_bps=400_000 * MBIT, queue_bytes=(1 << 32) - 1),
    ],
)
def test_what_netem_does_exactly_is_supported(shape):
    assert netem.supports(shape, mtu=1500) is None


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (Shape(delay_ns=2, jitter_ns=1), "reorders"),
        (Shape(loss=1), "2 in 2"),
        (Shape(rate_bps=20_001, queue_bytes=20_000), "20001"),
        (Shape(rate_bps=2_000, queue_bytes=20_000), "4.29 s"),
        (Shape(rate_bps=MBIT, queue_bytes=1513), "1514"),
        (Shape(rate_bps=MBIT, queue_bytes=1 << 32), "4294967296"),
    ],
)
def test_what_netem_does_otherwise_is_refused_with_the_reason(shape, reason):
    assert reason in str(netem.supports(shape, mtu=1500))


def test_a_refused_shape_is_not_applied():
    with pytest.raises(LabError) as caught:
        asyncio.run(netem.apply(None, NO_DEVICE, Shape(delay_ns=2, jitter_ns=1), mtu=1500))
    assert caught.value.code == "shape-not-supported"


def test_what_the_kernel_refuses_is_not_applied():
    async def apply():
        async with AsyncIPRoute() as ip:
            await netem.apply(ip, NO_DEVICE, Shape(delay_ns=1), mtu=1500)

    with pytest.raises(LabError) as caught:
        asyncio.run(apply())
    assert caught.value.code == "shape-not-applied"
    assert str(NO_DEVICE) in caught.value.message


def test_a_device_that_is_gone_has_no_statistics():
    async def read():
        async with AsyncIPRoute() as ip:
            await netem.statistics(ip, NO_DEVICE)

    with pytest.raises(LabError) as caught:
        asyncio.run(read())
    assert caught.value.code == "shape-missing"


def test_loss_is_the_threshold_that_gives_the_probability():
    """netem drops at or below its threshold, so v means (v + 1) / 2^32, but for 0, which means never."""
    assert engine._delay(Shape(loss=0)).loss == 0
    assert engine._delay(Shape(loss=CERTAIN // 2)).loss == CERTAIN // 2 - 1
    assert engine._delay(Shape(loss=CERTAIN)).loss == (1 << 32) - 1


def test_packets_in_flight_have_room():
    def room(delay_ns):
        return engine._delay(Shape(delay_ns=delay_ns)).limit

    assert room(0) == 1_000
    assert room(40_000_000) == 41_000
    assert room(3_600_000_000_000) == 1_000 + (1 << 20)


@pytest.mark.parametrize("rate_bps", [8_000, 10 * MBIT, 10_000 * MBIT])
def test_the_bucket_holds_a_frame_and_a_millisecond(rate_bps):
    tbf = engine._bottleneck(Shape(rate_bps=rate_bps, queue_bytes=100_000), mtu=1500)
    assert (tbf.rate, tbf.limit) == (rate_bps // 8, 100_000)
    least_ns = 1514 * 8_000_000_000 / rate_bps + 1_000_000
    assert least_ns <= tbf.buffer * 64 < least_ns + 64


def test_no_rate_is_a_bottleneck_that_drops_and_delays_nothing():
    tbf = engine._bottleneck(Shape(), mtu=1500)
    assert tbf.limit == (1 << 32) - 1
    assert tbf.buffer * 64 * tbf.rate // 1_000_000_000 > 1 << 30  # bytes that pass at once


def test_differences_name_the_field_with_both_values():
    asked = Netem(limit=1, delay_ns=40)
    assert engine._differences(asked, asked) == ""
    assert engine._differences(asked, Netem(limit=1, delay_ns=41)) == "delay_ns is 41, asked for 40"
    correlated = Netem(limit=1, delay_ns=40, loss_model=FourState(p13=1, p31=2, p32=3, p14=4, p23=5))
    assert "loss_model is {'p13': 1" in engine._differences(asked, correlated)


def test_a_seed_counts_where_one_was_asked_for():
    """Kernels before 6.6 ignore a seed; later ones report their own where none was given."""
    assert engine._differences(Netem(limit=1, seed=7), Netem(limit=1)) == "seed is None, asked for 7"
    assert engine._differences(Netem(limit=1), Netem(limit=1, seed=7)) == ""


@pytest.mark.parametrize(
    "qdisc",
    [
        Netem(limit=1, loss_model=GilbertElliott(p=1, r=2, h=3, k1=4), rate=1 << 33, seed=1 << 63),
        Netem(limit=1, loss_model=FourState(p13=1, p31=2, p32=3, p14=4, p23=5)),
        Tbf(rate=1 << 33, limit=2, buffer=3),
    ],
)
def test_a_message_holds_what_was_put_into_it(qdisc):
    message = QdiscMessage()
    message["attrs"] = [("TCA_KIND", qdisc.kind), ("TCA_OPTIONS", qdisc.encode())]
    message.encode()
    read = QdiscMessage.reread(message)
    assert qdisc.decode(read.get_attr("TCA_OPTIONS")) == qdisc
