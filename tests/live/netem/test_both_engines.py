"""The kernel engine one way and the userspace engine the other: the same shape makes the same network of both."""

import itertools
import math
from bisect import bisect_right

import pytest

from testbed.agent.userspace.engine import UserspaceEngine
from testbed.agent.userspace.sockets import open_input, open_output
from testbed.shape import CERTAIN, GilbertElliott, Shape, Variation

pytestmark = pytest.mark.netem

MS = 1_000_000
SEED = 7
MAC_B = "02:42:c6:12:00:02"
DEVICES = """
link add name in0 type veth peer name far0
link set in0 addrgenmode none up
link set far0 addrgenmode none up
"""
UNLIKELY = 1e-4


@pytest.fixture(scope="module")
def both(path):
    """Applies a shape to both ways."""
    path.run(path.switch, "sh", "-c", f"echo '{DEVICES}' | ip -batch -")
    path.run(path.switch, "ethtool", "-K", "in0", "tx", "off", "sg", "off", "tso", "off", "gso", "off")
    path.redirect("port-a", MAC_B, "in0")
    indices = [path.runner.run(path.ip.link_lookup(ifname=name))[0] for name in ("far0", "port-a")]

    async def start():
        return UserspaceEngine()

    engine = path.runner.run(start())
    with path.inside(path.switch):
        sockets = open_input(indices[0]), open_output(indices[1])
    path.runner.run(engine.add("back", Shape(), SEED, *sockets))

    def apply(shape):
        path.apply(shape)
        path.runner.run(engine.replace("back", shape))

    yield apply
    path.runner.run(engine.aclose())


@pytest.mark.parametrize("distribution", ["normal", "pareto"])
def test_delays_are_of_one_distribution(path, both, distribution):
    """But for what the engines themselves take, which is little here and taken off with the median."""
    variation = Variation(distribution=distribution, keeps_order=False)
    both(Shape(delay_ns=800 * MS, jitter_ns=300 * MS, variation=variation))
    kernel, userspace = (
        centred([arrival.delay for arrival in path.send(600, gap_s=0.001, back=back)]) for back in (False, True)
    )
    assert len(kernel) == len(userspace) == 600
    assert kolmogorov_smirnov(kernel, userspace) > UNLIKELY


def test_losses_come_in_bursts_alike(path, both):
    both(Shape(loss_model=GilbertElliott(to_bad=CERTAIN // 20, to_good=CERTAIN // 3)))
    kernel, userspace = (bursts(path.send(4000, back=back), 4000) for back in (False, True))
    assert kolmogorov_smirnov(kernel, userspace) > UNLIKELY
    assert kolmogorov_smirnov(kernel, [1] * len(kernel)) < UNLIKELY  # what the test can tell apart
    expected = 4000 / (20 + 3)  # a burst begins once in the mean of both stays
    assert abs(len(kernel) - expected) < 5 * math.sqrt(expected)
    assert abs(len(userspace) - expected) < 5 * math.sqrt(expected)


def bursts(arrivals, count):
    """The lengths of the runs of lost packets."""
    came = {arrival.number for arrival in arrivals}
    return [len(list(run)) for gone, run in itertools.groupby(range(count), lambda n: n not in came) if gone]


def centred(values):
    median = sorted(values)[len(values) // 2]
    return [value - median for value in values]


def kolmogorov_smirnov(one, other):
    """The p-value of two samples' being of one distribution; an upper bound where values are discrete.

    Asymptotic: W. H. Press et al., Numerical Recipes, 14.3.3.
    """
    one, other = sorted(one), sorted(other)
    distance = max(
        abs(bisect_right(one, value) / len(one) - bisect_right(other, value) / len(other)) for value in one + other
    )
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:
        return 1.0  # to more digits than the series, which converges slowly there
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(2 * math.fsum(terms), 1.0)


def test_the_test_tells_distributions_apart():
    """Samples of 1000 of the uniform and of its square; of the uniform and itself shifted by a hundredth."""
    even = [rank / 1000 for rank in range(1000)]
    assert kolmogorov_smirnov(even, [value**2 for value in even]) < 1e-9
    assert kolmogorov_smirnov(even, [value + 0.01 for value in even]) > 0.99
    assert kolmogorov_smirnov(even, [value + 0.0607 for value in even]) == pytest.approx(0.05, abs=0.005)
