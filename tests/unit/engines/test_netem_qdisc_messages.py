import pytest

from testbed.engines.netem.qdisc_messages import QdiscMessage
from testbed.engines.netem.qdiscs import GemodelLoss, Netem, StateLoss
from testbed.engines.netem.queues import Bfifo, Codel, FqCodel, Tbf


@pytest.mark.parametrize(
    "qdisc",
    [
        Netem(limit=1, loss_model=GemodelLoss(p=1, r=2, h=3, k1=4), rate=1 << 33, seed=1 << 63),
        Netem(limit=1, loss_model=StateLoss(p13=1, p31=2, p32=3, p14=4, p23=5)),
        Tbf(rate=1 << 33, limit=2, buffer=3, overhead=4),
        Bfifo(limit=1),
    ],
)
def test_a_message_holds_what_was_put_into_it(qdisc):
    message = QdiscMessage()
    message["attrs"] = [("TCA_KIND", qdisc.kind), ("TCA_OPTIONS", qdisc.encode())]
    message.encode()
    read = QdiscMessage.reread(message)
    assert qdisc.decode(read.get_attr("TCA_OPTIONS")) == qdisc


def test_a_table_of_delays_goes_as_16_bits_each():
    options = dict(Netem(limit=1, delay_table=(-8192, 0, 32767)).encode()["attrs"])
    assert options["TCA_NETEM_DELAY_DIST"] == b"\x00\xe0\x00\x00\xff\x7f"


@pytest.mark.parametrize("units", [1, 2, 41, 4882, 4883, 97656, (1 << 31) - 1])
@pytest.mark.parametrize(
    "make",
    [
        lambda units: Codel(limit=1, target=units, interval=units, ecn=True),
        lambda units: FqCodel(limit=1, target=units, interval=units, ecn=False, quantum=1514),
    ],
)
def test_a_time_of_codel_survives_the_kernels_rounding_to_microseconds(make, units):
    """`codel_change` and `codel_dump` in net/sched/sch_codel.c; fq_codel does the same."""
    asked = make(units)
    message = QdiscMessage()
    attributes = [
        (name, (value * 1000 >> 10 << 10) // 1000 if name.endswith(("TARGET", "INTERVAL")) else value)
        for name, value in asked.encode()["attrs"]
    ]
    message["attrs"] = [("TCA_KIND", asked.kind), ("TCA_OPTIONS", {"attrs": attributes})]
    message.encode()
    assert asked.decode(QdiscMessage.reread(message).get_attr("TCA_OPTIONS")) == asked
