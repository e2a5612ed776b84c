"""Aggregates of the metrics of a group's members."""

import pytest

from testbed.expectations import ExpectationError, parse
from testbed.metrics import metric_of
from testbed.plan import resolve
from testbed.topology import loads
from testbed.workloads.group_summaries import extremes, group_summaries
from testbed.workloads.summary import Summary

PLAN = resolve(
    loads(
        "name: x\nnodes: {client: {count: 3}, server: }\n"
        "workloads: [{name: get, kind: tcp-stream, from: server, to: client}]\n",
        "x.yml",
    )
)


def summary(number, missing=(), **values):
    reasons = dict.fromkeys(missing, "it was too short")
    return Summary(workload=f"get-client-{number}", kind="tcp-stream", values=values, missing=reasons)


def together(*summaries):
    [found] = group_summaries(PLAN.workloads, summaries)
    return found


def test_numbers_are_aggregated_and_text_is_left_out():
    found = together(
        *(summary(number, goodput_bps=value, congestion="cubic") for number, value in ((1, 4), (2, 1), (3, 4)))
    )
    assert (found.workload, found.kind) == ("get", "tcp-stream")
    assert found.values == {
        "goodput_bps.min": 1,
        "goodput_bps.median": 4,
        "goodput_bps.mean": pytest.approx(3),
        "goodput_bps.max": 4,
        "goodput_bps.sum": 9,
    }


def test_what_one_member_lacks_has_no_aggregate_and_says_whose_is_missing():
    found = together(
        summary(1, goodput_bps=1), summary(2, goodput_bps=None, missing=["goodput_bps"]), summary(3, goodput_bps=3)
    )
    assert found.values["goodput_bps.min"] is None
    assert found.missing["goodput_bps.min"] == "get-client-2: it was too short"


def test_there_is_none_before_all_members_have_run():
    assert group_summaries(PLAN.workloads, [summary(1, goodput_bps=1), summary(2, goodput_bps=2)]) == ()


def test_extremes_have_the_metrics_of_one_workload():
    least, median, greatest = extremes(together(*(summary(number, retransmits=number) for number in (1, 2, 3))))
    assert [each.values for each in (least, median, greatest)] == [{"retransmits": number} for number in (1, 2, 3)]
    assert [each.workload for each in (least, median, greatest)] == ["get least", "get median", "get greatest"]


def test_there_are_sums_only_where_they_mean_something():
    values = {"setup_ns": 3, "retransmits": 2, "sndbuf_limited_ratio": 0.5, "delivered_bytes": 9}
    found = together(*(summary(number, **values) for number in (1, 2, 3)))
    assert {name for name in found.values if name.endswith(".sum")} == {"retransmits.sum", "delivered_bytes.sum"}
    assert {name.rpartition(".")[0] for name in found.values} == values.keys()
    assert metric_of("loss_run_max").aggregates == ("min", "median", "mean", "max")


def test_an_expectation_of_a_sum_that_means_nothing_says_what_there_is():
    with pytest.raises(ExpectationError, match="a sum of these means nothing") as refused:
        parse("get.setup.sum < 1s", {"get": "tcp-stream"}, {"get"})
    assert "setup.median" in str(refused.value.hint)
