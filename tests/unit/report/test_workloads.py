"""The table of workloads: those that are alike in one line, sums of flows, and how evenly they shared."""

from dataclasses import replace

import pytest

from testbed.report.workloads import workload_table
from testbed.runs import RunWriter


@pytest.fixture
def run(tmp_path, plan, voice):
    def made(goodputs, *, different=False):
        workloads = [
            replace(plan.workloads[0], name=f"v{number:02}", parameters={"rate_bps": 1 + number * different})
            for number in range(len(goodputs))
        ]
        with RunWriter(tmp_path, replace(plan, stages=(tuple(workloads),)), runtime="netns") as writer:
            for workload, goodput in zip(workloads, goodputs, strict=True):
                values = {**voice.values, "goodput_bps": goodput}
                writer.ended(replace(voice, workload=workload.name, values=values))
            writer.finished((), ())
        return writer.run

    return made


def names(lines):
    return [line[0].text for line in lines]


def column(table, name):
    at = table.head.index(name)
    return [line[at] if isinstance(line[at], str) else f"{line[at].text} {line[at].below}" for line in table.lines]


def test_similar_workloads_share_a_panel_above_their_sum(run):
    table = workload_table(run([1e6 * number for number in range(1, 11)]))
    assert names(table.lines) == ["v00 … v09", "sum of 10"]
    assert column(table, "goodput") == ["5.5 mbit/s 1 mbit/s to 10 mbit/s", "55 mbit/s"]
    (members,) = table.groups
    assert names(members.lines) == [f"v{number:02}" for number in range(10)]
    assert table.fairness == ["Jain's fairness index of the 10 udp-stream: 0.786 (1 is equal)."]


def test_few_workloads_and_those_that_differ_have_lines_of_their_own(run):
    assert names(workload_table(run([1, 1])).lines) == ["v00", "v01", "sum of 2"]
    table = workload_table(run([1.0] * 6, different=True))
    assert names(table.lines)[:2] == ["v00", "v01"]
    assert table.groups == []


def test_a_single_workload_has_no_sum(run):
    table = workload_table(run([1]))
    assert names(table.lines) == ["v00"]
    assert table.fairness == []
