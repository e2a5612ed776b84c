"""Pages and tables of runs with very many workloads: what they show is bounded, and says what it leaves out."""

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.samples import read_all
from testbed.cli.runs import _rows
from testbed.records import format_line
from testbed.report.facts import facts
from testbed.report.run_page import run_page
from testbed.report.sampling import spread
from testbed.report.workloads import workload_table
from testbed.runs import RunWriter

MS = 1_000_000
MANY = 300
MESSAGES = 20


@pytest.fixture
def run(tmp_path, plan, voice):
    """A run of many workloads that are not alike, together or one after the other."""

    def run(*, together):
        workloads = [
            replace(plan.workloads[0], name=f"w{number}", parameters={"rate_bps": 1000 + number, "size_bytes": 100})
            for number in range(MANY)
        ]
        stages = (tuple(workloads),) if together else tuple((workload,) for workload in workloads)
        with RunWriter(tmp_path, replace(plan, stages=stages), runtime="netns") as writer:
            for number, workload in enumerate(workloads):
                sent = [at * 20 * MS + (0 if together else number * 1000 * MS) for at in range(MESSAGES)]
                arrived = [at + (20 + number) * MS for at in sent]
                with writer.samples(workload.name) as record:
                    record.write(format_line("client", "sent", {"sent_ns": sent}, first=0))
                    columns = {"seq": [*range(MESSAGES)], "received_ns": arrived}
                    record.write(format_line("server", "received", columns))
                writer.ended(replace(voice, workload=workload.name, values={**voice.values, "sent": number}))
            writer.finished((), ())
        return writer.run

    return run


@pytest.mark.parametrize("together", [True, False], ids=["together", "in turn"])
def test_the_page_of_very_many_workloads_is_of_a_size_to_be_read(run, together):
    made = run(together=together)
    page = run_page(made, read_all(made))
    assert len(page) < 2_500_000
    assert page.count("<svg") < 300
    if together:
        assert f"Charts of 30 of {MANY}, evenly, from the least latency" in page
    else:
        assert f"Charts of 24 of the {MANY} steps" in page
        assert "w0" in page
        assert f"w{MANY - 1}" in page


def test_their_table_has_a_line_for_each_kind_and_some_of_them_behind_it(run):
    table = workload_table(run(together=True))
    ((head, *_),) = table.lines
    assert not isinstance(head, str)
    assert (head.text, head.below) == ("all 300 udp-stream", "client → server; median, least to greatest")
    (group,) = table.groups
    assert group.name == "300 udp-stream, 200 of them: run.json has all"
    assert len(group.lines) == 200


def test_their_metrics_are_the_extremes_of_each_kind_on_the_page_and_on_the_terminal(run):
    made = run(together=True)
    names = [f"300 udp-stream {word}" for word in ("least", "median", "greatest")]
    assert [each.workload for each in _rows(made)] == names
    (table,) = facts(made)["metrics"]
    assert table["head"] == ["metric", *names]
    (sent,) = [line for line in table["lines"] if line[0] == "sent"]
    assert sent[1:] == ["0", "150", "299"]


def test_samples_that_are_read_hold_no_file_open(run):
    made = run(together=True)
    before = len([*Path("/proc/self/fd").iterdir()])
    recorded = read_all(made)
    assert len(recorded.samples) == MANY
    assert len([*Path("/proc/self/fd").iterdir()]) < before + 50


def test_spread_has_the_ends_and_what_is_between_evenly():
    assert spread([*range(101)], 5) == [0, 25, 50, 75, 100]
    assert spread([1, 2, 3], 5) == [1, 2, 3]
    assert spread([*range(10)], 2) == [0, 9]
