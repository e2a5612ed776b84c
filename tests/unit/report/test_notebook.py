"""What a notebook shows of a run: its charts, and its tables."""

from xml.etree import ElementTree as ET

import pytest

import testbed
from testbed.errors import UsageError
from tests.unit.report.test_run_page import make_run

__all__ = ["make_run"]


def test_the_charts_of_the_report_one_by_one(make_run):
    run = make_run()
    charts = testbed.charts(run, "voice")
    assert "One-way delay of voice" in charts.titles
    assert len(charts) == len(charts.titles) == len([*charts])
    one = charts[charts.titles.index("One-way delay of voice")]
    assert repr(one) == "<charts: One-way delay of voice>"
    root = ET.fromstring(one._repr_html_())  # noqa: S314  # our own
    assert len([each for each in root.iter() if each.tag.endswith("svg") and each.get("viewBox")]) == 1
    assert "--ink:" in str(root.findtext("style"))


def test_a_workload_that_is_not_in_the_run(make_run):
    with pytest.raises(UsageError, match="has no workload 'vioce'"):
        testbed.charts(make_run(), "vioce")


def test_the_tables_of_a_run_have_requested_and_measured_values_with_units(make_run):
    shown = make_run(distrust=("packets came <late>",))._repr_html_()
    assert "<td>not trusted: packets came &lt;late&gt;</td>" in shown
    assert "<th>delay</th>" in shown
    assert "20 ms: 20.2 ms</td>" in shown
    assert "<th>voice (udp-stream)</th>" in shown
