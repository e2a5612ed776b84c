"""The clocks of several machines in a run."""

from testbed.agent.client import ClockOffset
from testbed.runs.machine_clocks import machine_clocks, remark

DAY_NS = 86_400_000_000_000


def test_drift_adds_to_what_times_may_be_off():
    before = {"east": ClockOffset(0, 100_000), "west": ClockOffset(DAY_NS, 300_000)}
    after = {"east": ClockOffset(0, 90_000), "west": ClockOffset(DAY_NS - 50_000, 200_000)}
    east, west = machine_clocks(before, after)
    assert (east.error_ns, west.drift_ns, west.error_ns) == (100_000, -50_000, 350_000)
    assert remark([east, west]).endswith("one-way times between machines are off by at most 450 us")


def test_one_machine_is_not_worth_a_remark():
    assert remark(()) == remark(machine_clocks({"east": ClockOffset(0, 100)})) == ""
