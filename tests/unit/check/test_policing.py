"""A policer is judged by what it lets pass of a train, through the engine itself in virtual time."""

import pytest

from testbed.check import policing, schedules
from testbed.check.comparing import TOO_HIGH, TOO_LOW
from testbed.check.rates import Train
from testbed.check.verdict import AS_REQUESTED
from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.segments import contents
from testbed.impairments import Impairments, IndependentLoss, Policer

MBIT, KB, MS = 10**6, 1000, 10**6


def sent_through(policer, *, requested, mtu=1500, loss=None, late_ns=0, seed=1):
    """The train for `requested`, through a link that has `policer`; from the middle on the machine is late."""
    schedule = schedules.exceeding(requested, mtu, 100 * MS)
    link = LinkEmulator(Impairments(policer=policer, loss=loss), seed, 0)
    sent = [number * schedule.interval_ns for number in range(schedule.count)]
    sequence, received = [], []
    for number, at in enumerate(sent):
        reached = at + (late_ns if number >= len(sent) // 2 else 0)
        link.accept([number.to_bytes(4, "big") + bytes(schedule.frame_bytes - 4)], reached)
        for packet in map(contents, link.release(reached, 10)):
            sequence.append(int.from_bytes(packet[:4], "big"))
            received.append(reached)
    return Train(frame_bytes=schedule.frame_bytes, sent_ns=sent, sequence=sequence, received_ns=received)


def judged(requested, real, **more):
    impairments = Impairments(policer=requested, loss=more.get("loss"))
    return policing.judge_policer(impairments, sent_through(real, requested=impairments, **more))


@pytest.mark.parametrize("rate", [64_000, MBIT, 10 * MBIT, 400 * MBIT])
@pytest.mark.parametrize("burst", [1514, 10 * KB, 64 * KB, 500 * KB])
def test_the_right_policer_is_as_requested(rate, burst):
    finding = judged(*[Policer(rate_bps=rate, burst_bytes=burst)] * 2)
    assert finding.verdict == AS_REQUESTED or burst > 100 * rate / MBIT * KB  # it can't use up such a burst
    assert finding.measured is not None


def test_random_loss_is_taken_into_account():
    policer, loss = Policer(rate_bps=10 * MBIT, burst_bytes=64 * KB), IndependentLoss(probability=(1 << 32) // 10)
    for seed in range(20):
        assert judged(policer, policer, loss=loss, seed=seed).verdict == AS_REQUESTED


@pytest.mark.parametrize("ratio", [0.5, 0.85])
def test_a_lower_rate_is_too_low(ratio):
    requested = Policer(rate_bps=10 * MBIT, burst_bytes=64 * KB)
    assert judged(requested, Policer(rate_bps=int(10 * MBIT * ratio), burst_bytes=64 * KB)).verdict == TOO_LOW


@pytest.mark.parametrize("ratio", [1.2, 2])
def test_a_higher_rate_is_too_high_and_no_machine_is_the_reason(ratio):
    requested = Policer(rate_bps=10 * MBIT, burst_bytes=64 * KB)
    assert judged(requested, Policer(rate_bps=int(10 * MBIT * ratio), burst_bytes=64 * KB)).verdict == TOO_HIGH
    assert judged(requested, requested, late_ns=200 * MS).verdict != TOO_HIGH


def test_one_right_train_is_enough_and_one_that_is_too_fast_too():
    requested = Policer(rate_bps=10 * MBIT, burst_bytes=64 * KB)
    low, right, high = (
        judged(requested, Policer(rate_bps=rate, burst_bytes=64 * KB)) for rate in (MBIT, 10 * MBIT, 20 * MBIT)
    )
    assert policing.conclude([low, right]) == right
    assert policing.conclude([low, right, high]) == high
    assert policing.conclude([low, low]) == low
