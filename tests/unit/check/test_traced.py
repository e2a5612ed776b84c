"""Delay and loss that follow a trace are judged by what it requested at the time of each probe."""

from array import array
from dataclasses import replace

import pytest

from testbed.check import schedules, traced
from testbed.check.judging import judge
from testbed.check.trains import TrainRecord
from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.segments import contents
from testbed.impairments import CERTAIN, DelaySteps, Impairments, Jitter, LossSteps

MS, S = 10**6, 10**9
DELAY = DelaySteps(starts_ns=(0, 300 * MS, 900 * MS), delays_ns=(30 * MS, 80 * MS, 20 * MS), period_ns=1_500 * MS)
LOSS = LossSteps(starts_ns=(0, S, 1_200 * MS), probabilities=(0, CERTAIN, CERTAIN // 20), period_ns=2 * S)
LINK = Impairments(delay_ns=DELAY.mean_ns, delay_trace=DELAY, loss=LOSS)
LAG = 60_000
"""From sending to the engine, ns."""


def probes(real, origin, begin):
    """Send probes over a link whose traces begin at `origin`."""
    count, interval = 1500, 2 * MS
    link = LinkEmulator(real, 1, 0, origin)
    sent = [begin + number * interval for number in range(count)]
    arrivals = []
    for number, at in enumerate([*sent, begin + count * interval + 10 * S]):
        while (wakeup := link.next_wakeup()) is not None and wakeup <= at:
            arrivals += [
                (int.from_bytes(packet, "big"), wakeup + LAG) for packet in map(contents, link.release(wakeup, 1))
            ]
        link.accept([number.to_bytes(54, "big")][: number < count], at + LAG)
    return TrainRecord(
        frame_bytes=54,
        sent_ns=array("q", sent),
        sequence=array("q", [number for number, _ in arrivals]),
        received_ns=array("q", [at for _, at in arrivals]),
        unexpected=0,
    )


def findings(requested, record, origin):
    sample = record.sample(scripted=0, excess_ns=traced.excess_ns(requested, origin, record.sent_ns))
    return {finding.name: finding for finding in judge(requested, sample, level=1e-5, origin_ns=origin)}


@pytest.mark.parametrize("begin", [0, 77 * MS, 5 * S + 123])
@pytest.mark.parametrize("jitter", [None, Jitter(ns=5 * MS, keeps_order=False)])
def test_the_requested_traces_are_as_requested_wherever_the_probes_begin(begin, jitter):
    link = replace(LINK, jitter=jitter)
    found = findings(link, probes(link, 7 * MS, begin), 7 * MS)
    assert all(finding.passed for finding in found.values()), found
    assert found["delay"].measured == pytest.approx(DELAY.mean_ns, abs=MS)
    assert "burst" not in found


@pytest.mark.parametrize(
    "wrong",
    [
        replace(LINK, delay_ns=DELAY.mean_ns, delay_trace=None),
        replace(LINK, loss=None),
        replace(LINK, loss=LossSteps(starts_ns=(0,), probabilities=(CERTAIN,), period_ns=S)),
    ],
)
def test_other_delays_or_losses_are_found(wrong):
    assert not all(finding.passed for finding in findings(LINK, probes(wrong, 0, 0), 0).values())


def test_a_trace_that_begins_at_another_time_is_found():
    assert (
        not findings(LINK, probes(LINK, 400 * MS, S), 0)["delay"].passed
        or not findings(LINK, probes(LINK, 400 * MS, S), 0)["jitter"].passed
    )


def test_without_a_time_zero_it_is_not_measured():
    record = probes(LINK, 0, 0)
    found = judge(LINK, record.sample(scripted=0), level=1e-5)
    assert [finding.measured for finding in found] == [None, None]
    assert "not measured: it is not known when its trace began" in found[0].verdict


def test_probes_of_a_traced_link_wait_for_its_longest_delay():
    assert schedules.spaced_probes(LINK, S).in_flight_ns > 80 * MS
