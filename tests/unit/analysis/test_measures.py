"""Which figures are shown."""

import pytest

from testbed.analysis.measures import measures
from testbed.errors import UsageError


def test_by_default_the_main_metrics_of_each_workload_are_shown(make):
    plan = make("links[0].loss=1%").plan
    assert [each.label for each in measures(plan)] == ["flow.goodput", "voice.latency.p50", "voice.loss"]


def test_requested_metrics_are_shown_once_each(make):
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
def test_an_unknown_metric_is_an_error_with_the_nearest_name(make, label, said):
    with pytest.raises(UsageError) as caught:
        measures(make("links[0].loss=1%").plan, [label])
    assert said in str(caught.value)
