"""Which figures are shown."""

import pytest

from testbed.errors import UsageError
from testbed.sweep import measures


def test_unless_asked_the_main_figure_of_each_workload(make):
    plan = make("links[0].loss=1%").plan
    assert [each.label for each in measures(plan)] == ["flow.goodput", "voice.latency.p50", "voice.loss"]


def test_those_asked_for_once_each(make):
    plan = make("links[0].loss=1%").plan
    asked = measures(plan, ["voice.jitter", "flow.retransmits", "voice.jitter"])
    assert [each.label for each in asked] == ["voice.jitter", "flow.retransmits"]


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("flaw.goodput", 'no workload "flaw"\n  hint: did you mean "flow"?'),
        ("flow.godput", 'there is no numeric metric "godput"\n  hint: did you mean "goodput"?'),
        ("flow.congestion", "no numeric metric"),
        ("flow", "no numeric metric"),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest(make, label, said):
    with pytest.raises(UsageError) as caught:
        measures(make("links[0].loss=1%").plan, [label])
    assert said in str(caught.value)
