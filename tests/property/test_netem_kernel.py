"""What is asked of the kernel, read back from it. Needs a kernel with sch_netem."""

import asyncio
import os
import subprocess
from collections import namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroute2 import AsyncIPRoute

from testbed.engines.netem import fidelity, translation, tree
from testbed.engines.netem.qdisc_messages import QdiscMessage
from testbed.engines.netem.qdiscs import GemodelLoss, Netem, StateLoss
from testbed.engines.netem.queues import Bfifo, Codel, FqCodel, Tbf
from testbed.errors import LabError
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

pytestmark = pytest.mark.netem

NAMESPACE = f"tb-property-{os.getpid()}"
MTU = 1500

Kernel = namedtuple("Kernel", "runner ip index")  # noqa: PYI024

u32 = st.integers(0, (1 << 32) - 1)
probabilities = st.sampled_from([CERTAIN]) | st.integers(2, CERTAIN)
events = st.builds(RandomEvent, probability=probabilities, correlation=st.just(0) | probabilities)
certain = st.integers(0, CERTAIN)
half = st.integers(0, CERTAIN // 2)
losses = st.one_of(
    st.none(),
    st.just(Blackhole()),
    st.builds(IndependentLoss, probability=probabilities),
    st.builds(CorrelatedLoss, probability=probabilities, correlation=probabilities),
    st.builds(GilbertElliott, to_bad=certain, to_good=certain, loss_good=certain, loss_bad=certain),
    st.builds(FourState, p13=half, p31=half, p32=half, p23=certain, p14=half),
)
spoiling = st.one_of(
    st.fixed_dictionaries({"loss": losses, "corruption": st.none() | st.builds(Corruption, event=events)}),
    st.fixed_dictionaries({"duplicate": events}),
)
tables = st.lists(st.integers(-32767, 32767), min_size=1, max_size=50).map(lambda table: tuple(sorted(table)))
jitters = st.builds(
    Jitter,
    ns=st.integers(1, (1 << 31) - 1),
    distribution=st.sampled_from(["uniform", "normal", "pareto"]) | tables,
    keeps_order=st.just(False),  # noqa: FBT003  # the value of a field
)
delays = st.builds(
    lambda delay, jitter: {"delay_ns": delay + (jitter.ns if jitter else 0), "jitter": jitter},
    delay=st.integers(0, 1 << 50),
    jitter=st.none() | jitters,
)
codel = {"target_ns": st.integers(512, 1 << 40), "interval_ns": st.integers(512, 1 << 40), "ecn": st.booleans()}
rates = st.integers(10_000, 1 << 40).map(lambda rate: FixedRate(bps=rate * 8)) | st.builds(
    lambda rate, burst, times: TokenBucket(
        bps=rate * 8, burst_bytes=1_000_000 + rate * burst // 1000, peak_bps=rate * 8 * times
    ),
    *(st.integers(10_000, 1 << 35), st.integers(1, 100_000), st.sampled_from([0, 2, 30])),
)
bottlenecks: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.just({}),
    st.builds(lambda event, gap: {"reorder": Reorder(event=event, gap=gap)}, events, u32),
    st.builds(
        Bottleneck,
        rate=rates,
        overhead_bytes=st.integers(0, 1000),
        queue_bytes=st.integers(1514, (1 << 32) - 1),
        discipline=st.just(DropTail()) | st.builds(CoDel, **codel) | st.builds(FqCoDel, **codel),
    ).map(lambda bottleneck: {"bottleneck": bottleneck}),
)
all_impairments = st.builds(
    lambda *parts: Impairments(**{k: v for part in parts for k, v in part.items()}), spoiling, delays, bottlenecks
)
gilbert_elliott = st.builds(GemodelLoss, p=u32, r=u32, h=u32, k1=u32)
four_state = st.builds(StateLoss, p13=u32, p31=u32, p32=u32, p14=u32, p23=u32)
netems = st.builds(
    Netem,
    limit=u32,
    delay_ns=st.integers(0, (1 << 63) - 1),
    jitter_ns=st.integers(0, (1 << 31) - 1),
    delay_correlation=u32,
    delay_table=st.lists(st.integers(-32768, 32767), max_size=16384).map(tuple) | st.just(tuple(range(-8192, 8192))),
    loss=u32,
    loss_correlation=u32,
    loss_model=st.none() | gilbert_elliott | four_state,
    duplicate=u32,
    duplicate_correlation=u32,
    gap=u32,
    reorder=u32,
    reorder_correlation=u32,
    corrupt=u32,
    corrupt_correlation=u32,
    rate=u32 | st.integers(0, (1 << 64) - 1),
)
codel_times = st.integers(1, (1 << 31) - 1)
queues = st.one_of(
    st.builds(Bfifo, limit=u32),
    st.builds(Codel, limit=u32, target=codel_times, interval=codel_times, ecn=st.booleans()),
    st.builds(
        FqCodel,
        limit=u32,
        target=codel_times,
        interval=codel_times,
        ecn=st.booleans(),
        quantum=st.integers(256, 1 << 20),
    ),
)


@pytest.fixture(scope="module")
def kernel():
    """One device in a namespace that goes afterwards."""
    made = subprocess.run(["ip", "netns", "add", NAMESPACE], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no namespace: {made.stderr.strip()}")
    try:
        with asyncio.Runner() as runner:
            ip = AsyncIPRoute(netns=NAMESPACE)
            try:
                if missing := runner.run(tree.probe(ip)):
                    pytest.skip(missing.message)
                runner.run(ip.link("add", ifname="link", kind="ifb"))
                [link] = runner.run(ip.link("get", ifname="link"))
                yield Kernel(runner, ip, link["index"])
            finally:
                ip.close()
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


async def read(kernel):
    """What `tc qdisc show` would: not the kernel's answer to the change, but another question."""
    messages = [QdiscMessage.reread(message) async for message in await kernel.ip.tc("dump", index=kernel.index)]
    kinds = {qdisc.kind: qdisc for qdisc in (Netem, Tbf, Bfifo, Codel, FqCodel)}
    return [kinds[message.get_attr("TCA_KIND")].decode(message.get_attr("TCA_OPTIONS")) for message in messages]


few = settings(max_examples=50)


@few
@given(impairments=all_impairments)
def test_supported_impairments_replace_those_before(kernel, impairments):
    assert fidelity.supports(impairments, mtu=MTU) is None
    kernel.runner.run(tree.apply(kernel.ip, kernel.index, impairments, mtu=MTU))
    asked = translation.translate(impairments, mtu=MTU)
    found = kernel.runner.run(read(kernel))
    assert [one.kind for one in found] == [one.kind for one in asked]
    assert [tree._differences(one, other) for one, other in zip(asked, found, strict=True)] == ["", "", ""]


@few
@given(asked=netems)
def test_any_netem_is_read_back_as_it_was_sent(kernel, asked):
    assert tree._differences(asked, kernel.runner.run(tree._set(kernel.ip, kernel.index, asked))) == ""


@few
@given(asked=queues)
def test_any_queue_is_read_back_as_it_was_sent(kernel, asked):
    kernel.runner.run(tree.apply(kernel.ip, kernel.index, Impairments(), mtu=MTU))
    assert kernel.runner.run(tree._set(kernel.ip, kernel.index, asked)) == asked


def test_a_seed_is_taken_or_the_kernel_says_that_it_is_not(kernel):
    """6.6 and later take one."""
    seeded = tree.apply(kernel.ip, kernel.index, Impairments(delay_ns=1), mtu=MTU, seed=7)
    if kernel.runner.run(tree.reproducible(kernel.ip)) is None:
        kernel.runner.run(seeded)
        assert kernel.runner.run(read(kernel))[0].seed == 7
    else:
        with pytest.raises(LabError, match="seed is None, asked for 7"):
            kernel.runner.run(seeded)
