"""What a late engine explains of a finding, and what it does not."""

from dataclasses import replace

import pytest

from testbed.check import lateness
from testbed.check.lateness import met_another, of_crowded
from testbed.check.verdict import AS_REQUESTED, Finding, LinkCheck
from testbed.engines.counters import Counters
from testbed.impairments import Impairments
from testbed.matching import LinkKey

MS = 1_000_000
KEY = LinkKey("a", "b", "lan", None)
LATE = Counters(packets_out=1000, late=300, lateness_max_ns=20 * MS)
ON_TIME = Counters(packets_out=1000, late=20, lateness_max_ns=20 * MS)


def found(name, asked, measured, verdict="too high"):
    return Finding(name=name, asked=asked, measured=measured, interval=None, verdict=verdict, passed=False)


def checked(*findings, **other):
    return LinkCheck(
        source="a", destination="b", network="lan", asked=Impairments(), sent=1000, arrived=900, findings=findings,
        **other,
    )  # fmt: skip


def verdict(finding, after, before=None, **other):
    (check,) = lateness.excused([checked(finding, **other)], {KEY: before or Counters()}, {KEY: after})
    return check.findings[0].verdict


@pytest.mark.parametrize(
    ("finding", "after", "is_excused"),
    [
        (found("delay", 5 * MS, 12 * MS), LATE, True),
        (found("delay", 5 * MS, 12 * MS), ON_TIME, False),
        (found("delay", 5 * MS, 105 * MS), LATE, False),  # by more than the engine was ever late
        (found("delay", 5 * MS, 2 * MS, "too low"), LATE, False),
        (found("jitter", 0, 9 * MS), LATE, True),
        (found("distribution", 0, 0.4, "differs"), LATE, True),
        (found("distribution", 0, 0.4, "differs"), ON_TIME, False),
        (found("loss", 0.0, 0.1), LATE, False),
        (found("loss", 0.0, 0.1), replace(ON_TIME, kernel_drops=100), True),
        (found("loss", 0.0, 0.1), replace(ON_TIME, kernel_drops=10), False),  # fewer than were lost
        (found("loss", 0.0, 0.1), replace(LATE, lateness_max_ns=900 * MS), True),  # the receiver did not wait
        (found("loss", 0.0, 0.1), replace(ON_TIME, lateness_max_ns=900 * MS), False),  # that was at another time
        (found("loss", 0.2, 0.1, "too low"), replace(LATE, kernel_drops=100), False),
        (found("duplicates", 0.0, 0.1), LATE, False),
        (found("policer", 1e6, 2e6), LATE, False),
        (found("rate", 1e6, 0.5e6, "too low"), LATE, True),
        (found("rate", 1e6, 2e6), LATE, False),
        (found("queue", 1e5, 2e5, "too deep"), LATE, True),
        (found("delay", 5 * MS, 12 * MS), Counters(), False),  # an engine without these counters
    ],
)
def test_what_lateness_explains(finding, after, is_excused):
    assert ("not measured: this machine was too busy" in verdict(finding, after)) == is_excused


def test_what_was_late_before_the_check_explains_nothing():
    before = Counters(packets_out=500, late=300)
    assert verdict(found("delay", 5 * MS, 12 * MS), LATE, before) == "too high"


def test_a_path_is_as_late_as_the_latest_link():
    delay = found("delay", 5 * MS, 12 * MS)
    other = LinkKey("b", "c", "lan", None)
    counters = {KEY: ON_TIME, other: LATE}
    path, link = lateness.excused([checked(delay, path=("r",)), checked(delay)], {}, counters)
    assert (path.passed, link.passed) == (True, False)


def test_checks_that_pass_stay_as_they_are():
    right = replace(found("delay", 5 * MS, 5 * MS, AS_REQUESTED), passed=True)
    check = checked(right)
    assert lateness.excused([check], {}, {KEY: LATE}) == (check,)


def test_probes_sent_at_once_meet_each_other_at_a_bottleneck():
    assert not any(met_another(range(0, 200 * MS, 2 * MS), MS))
    assert not any(met_another([0] * 5, 0))
    at_once = [0, 0, 0, 2 * MS, 10 * MS]  # the bottleneck has them done at 1, 2 and 3 ms
    assert met_another(at_once, MS) == [False, True, True, True, False]


def test_what_probes_that_met_each_other_can_not_tell_is_not_measured():
    missing = replace(found("jitter", MS, 0), measured=None, passed=True)
    findings = [found("delay", 5 * MS, 12 * MS), missing, found("loss", 0.1, 0.5), found("loss", 0.5, 0.1, "too low")]
    delay, jitter, lost, kept = of_crowded(findings)
    assert (delay.passed, kept.passed) == (False, False)
    assert all("too busy to send probes evenly" in each.verdict for each in (jitter, lost))
