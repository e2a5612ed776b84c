import random

import pytest

from testbed.check import AS_ASKED, LinkCheck
from testbed.check.verdict import FRAME_BYTES, Sample, judge
from testbed.shape import CERTAIN, Shape

MS = 1_000_000
LEVEL = 0.001


def sample(*, sent=1000, lost=0, delay_ns=20 * MS, jitter_ns=0, late_ns=200_000, duplicates=0, reordered=0):
    """Delays as a link and a machine that is a little late make them."""
    rng = random.Random(1)
    delays = (delay_ns + rng.uniform(-jitter_ns, jitter_ns) + rng.expovariate(1 / late_ns) for _ in range(sent - lost))
    return Sample(sent=sent, delays_ns=sorted(map(round, delays)), duplicates=duplicates, reordered=reordered)


def check(shape, found):
    return LinkCheck(
        source="client",
        destination="server",
        network="wan",
        asked=shape,
        sent=found.sent,
        arrived=len(found.delays_ns),
        findings=judge(shape, found, level=LEVEL),
    )


def percent(value):
    return CERTAIN * value // 100


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        (Shape(delay_ns=20 * MS), sample()),
        (Shape(delay_ns=20 * MS, loss=percent(5)), sample(lost=62)),
        (Shape(delay_ns=20 * MS, jitter_ns=10 * MS), sample(jitter_ns=10 * MS, sent=100)),
        (Shape(delay_ns=500 * MS), sample(delay_ns=509 * MS)),
        # A frame leaves when its transmission ends (userspace) or starts (netem).
        (Shape(delay_ns=20 * MS, rate_bps=8 * FRAME_BYTES * 100, queue_bytes=3000), sample(delay_ns=30 * MS)),
        (Shape(delay_ns=20 * MS, rate_bps=8 * FRAME_BYTES * 100, queue_bytes=3000), sample(delay_ns=20 * MS)),
        (Shape(loss=CERTAIN), sample(sent=900, lost=900)),
    ],
)
def test_what_is_as_asked_passes(shape, found):
    result = check(shape, found)
    assert (result.verdict, result.passed) == (AS_ASKED, True)


@pytest.mark.parametrize(
    ("shape", "found", "verdict"),
    [
        (Shape(delay_ns=20 * MS), sample(delay_ns=22 * MS), "delay too high"),
        (Shape(delay_ns=20 * MS), sample(delay_ns=19 * MS), "delay too low"),
        (Shape(delay_ns=500 * MS), sample(delay_ns=511 * MS), "delay too high"),
        (Shape(delay_ns=20 * MS, jitter_ns=10 * MS), sample(sent=100), "jitter too low"),
        (Shape(delay_ns=20 * MS, jitter_ns=4 * MS), sample(jitter_ns=15 * MS), "jitter too high"),
        (Shape(delay_ns=20 * MS), sample(jitter_ns=4 * MS), "jitter too high"),
        (Shape(delay_ns=20 * MS), sample(lost=1), "loss too high"),
        (Shape(delay_ns=20 * MS, loss=percent(5)), sample(lost=100), "loss too high"),
        (Shape(delay_ns=20 * MS, loss=percent(5)), sample(), "loss too low"),
        (Shape(delay_ns=20 * MS, loss=CERTAIN), sample(lost=999), "loss too low"),
        (Shape(delay_ns=20 * MS, loss=percent(90)), sample(lost=1000), "loss of everything: nothing arrives"),
        (Shape(delay_ns=20 * MS, loss=CERTAIN - 1), sample(lost=1000), "loss of everything: nothing arrives"),
        (Shape(delay_ns=20 * MS), sample(duplicates=2), "duplicates packets where there should be none"),
        (Shape(delay_ns=20 * MS), sample(reordered=2), "reordered packets where there should be none"),
    ],
)
def test_what_is_not_as_asked_is_said(shape, found, verdict):
    result = check(shape, found)
    assert not result.passed
    assert verdict in result.verdict


def test_too_few_arrivals_prove_nothing():
    result = check(Shape(delay_ns=20 * MS, loss=percent(90)), sample(sent=50, lost=45))
    assert not result.passed
    assert "delay unknown: too few probes arrived" in result.verdict


def test_the_measured_jitter_is_that_of_a_uniform_delay():
    shape = Shape(delay_ns=50 * MS, jitter_ns=20 * MS)
    jitter = check(shape, sample(sent=5000, delay_ns=50 * MS, jitter_ns=20 * MS)).finding("jitter")
    assert jitter.measured == pytest.approx(20 * MS, rel=0.05)
    assert jitter.interval[0] <= jitter.measured <= jitter.interval[1]


def test_a_rate_is_said_not_to_be_measured():
    rate = check(Shape(delay_ns=20 * MS, rate_bps=10**9, queue_bytes=10**5), sample()).finding("rate")
    assert (rate.asked, rate.measured) == (10**9, None)
    assert "not measured" in rate.verdict


def test_a_link_that_could_not_be_probed_has_not_passed():
    broken = LinkCheck(
        source="client",
        destination="server",
        network="wan",
        asked=Shape(delay_ns=1),
        sent=0,
        arrived=0,
        findings=(),
        problem="no agent",
    )
    assert not broken.passed
    assert broken.verdict == "not measured: no agent"


def test_json_and_back():
    result = check(Shape(delay_ns=20 * MS, loss=percent(5)), sample(lost=62))
    assert LinkCheck.from_json(result.to_json()) == result
    assert result.to_json()["passed"] is True
