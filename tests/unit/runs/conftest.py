import pytest

from testbed.agent.messages import LinkStatistics
from testbed.check import LinkCheck
from testbed.check.judging import judge
from testbed.check.samples import ProbeSample
from testbed.engines.counters import Counters
from testbed.impairments import CERTAIN, Impairments, IndependentLoss
from testbed.plan.model import Link, Plan
from testbed.plan.nodes import Interface, Network
from testbed.plan.workloads import Workload
from testbed.workloads.summary import Summary
from tests.samples import bare_node

SHAPE = Impairments(delay_ns=20_000_000, loss=IndependentLoss(probability=CERTAIN // 50))


def node(number, name):
    at = Interface(
        network="wan", name="eth0", address=f"198.18.7.{number}", prefix_length=24, mac=f"02:42:c6:12:07:{number:02x}"
    )
    return bare_node(name, at)


@pytest.fixture
def plan():
    voice = Workload(
        name="voice",
        kind="udp-stream",
        source="client",
        destination="server",
        address="198.18.7.3",
        port=5001,
        seed=1,
        parameters={"rate_bps": 64_000, "size_bytes": 160, "duration_ns": 10**9},
    )
    link = Link(
        source="client", destination="server", network="wan", impairments=SHAPE, seed=2, engine="auto", profile=None
    )
    wan = Network(name="wan", subnet="198.18.7.0/24", gateway="198.18.7.1", allocated=True, internal=True, mtu=1500)
    return Plan(
        lab="lossy",
        topology="lossy",
        description="",
        seed=7,
        runtime="netns",
        networks=(wan,),
        nodes=(node(2, "client"), node(3, "server")),
        links=(link,),
        stages=((voice,),),
    )


@pytest.fixture
def make_check():
    def make(impairments=SHAPE, *, lost=20, delay_ns=20_200_000):
        found = ProbeSample(sent=1000, arrived=1000 - lost, delays_ns=[delay_ns] * (1000 - lost), runs=lost)
        return LinkCheck(
            source="client",
            destination="server",
            network="wan",
            asked=impairments,
            sent=1000,
            arrived=1000 - lost,
            findings=judge(impairments, found, level=0.001),
        )

    return make


@pytest.fixture
def voice():
    return Summary(
        workload="voice",
        kind="udp-stream",
        values={
            "sent": 500,
            "delivered": 489,
            "loss_ratio": 0.022,
            "goodput_bps": 62_693.4,
            "first_byte_ns": 40_249_999,
            "latency_p50_ns": 40_312_345,
            "latency_p99_ns": None,
        },
        missing={"latency_p99_ns": "made up"},
    )


@pytest.fixture
def download():
    return Summary(
        workload="download",
        kind="tcp-stream",
        values={
            "sent_bytes": 1000,
            "delivered_bytes": 1000,
            "goodput_bps": 6_131_234.5,
            "retransmits": 183,
            "setup_ns": 80_412_345,
            "first_byte_ns": 161_000_000,
        },
        missing={},
    )


@pytest.fixture
def statistics():
    link = LinkStatistics(
        source="client",
        destination="server",
        network="wan",
        engine="userspace",
        why="asked for",
        impairments=SHAPE,
        counts=Counters(packets_in=3),
    )
    return [link]
