"""What is asked of the kernel, read back from it. Needs a kernel with sch_netem."""

import asyncio
import os
import subprocess
from collections import namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroute2 import AsyncIPRoute

from testbed.agent import netem
from testbed.agent.netem import engine
from testbed.agent.netem.messages import QdiscMessage
from testbed.agent.netem.qdiscs import FourState, GilbertElliott, Netem, Tbf
from testbed.shape import CERTAIN, Shape

pytestmark = pytest.mark.netem

NAMESPACE = f"tb-property-{os.getpid()}"
MTU = 1500

Kernel = namedtuple("Kernel", "runner ip index")  # noqa: PYI024

u32 = st.integers(0, (1 << 32) - 1)
shapes = st.builds(
    lambda delay, loss, rate: Shape(delay_ns=delay, loss=loss, **rate),
    delay=st.integers(0, 1 << 50),
    loss=st.sampled_from([0, CERTAIN]) | st.integers(2, CERTAIN),
    rate=st.just({})
    | st.fixed_dictionaries(
        {
            "rate_bps": st.integers(375, 1 << 40).map(lambda rate: rate * 8),
            "queue_bytes": st.integers(1514, (1 << 32) - 1),
        }
    ),
)
gilbert_elliott = st.builds(GilbertElliott, p=u32, r=u32, h=u32, k1=u32)
four_state = st.builds(FourState, p13=u32, p31=u32, p32=u32, p14=u32, p23=u32)
netems = st.builds(
    Netem,
    limit=u32,
    delay_ns=st.integers(0, (1 << 63) - 1),
    jitter_ns=st.integers(0, (1 << 31) - 1),
    delay_correlation=u32,
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
                if missing := runner.run(netem.probe(ip)):
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
    kinds = {qdisc.kind: qdisc for qdisc in (Netem, Tbf)}
    return [kinds[message.get_attr("TCA_KIND")].decode(message.get_attr("TCA_OPTIONS")) for message in messages]


few = settings(max_examples=50, deadline=None)


@few
@given(shape=shapes)
def test_any_supported_shape_replaces_the_one_before_it(kernel, shape):
    assert netem.supports(shape, mtu=MTU) is None
    kernel.runner.run(netem.apply(kernel.ip, kernel.index, shape, mtu=MTU))
    assert kernel.runner.run(read(kernel)) == [engine._delay(shape), engine._bottleneck(shape, MTU)]


@few
@given(asked=netems)
def test_any_netem_is_read_back_as_it_was_sent(kernel, asked):
    assert engine._differences(asked, kernel.runner.run(engine._set(kernel.ip, kernel.index, asked))) == ""
