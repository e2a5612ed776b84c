"""Expectations of a plan held against a run: in the run, in tables, as JUnit."""

import io
import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from testbed import codec
from testbed.analysis import formatting
from testbed.cli import tables
from testbed.expectations import ExpectationOutcome, parse
from testbed.report.junit import junit_report
from testbed.runs import RunWriter, load


@pytest.fixture
def expecting(plan):
    def expect(*texts):
        kinds = {"voice": "udp-stream", "download": "tcp-stream"}
        download = replace(plan.workloads[0], name="download", kind="tcp-stream")
        expectations = tuple(parse(text, kinds) for text in texts)
        return replace(plan, stages=(*plan.stages, (download,)), expectations=expectations)

    return expect


def written(root, plan, *summaries, checks=(), distrust=()):
    with RunWriter(root, plan, runtime="netns") as writer:
        writer.checked(checks)
        for summary in summaries:
            writer.ended(summary)
        writer.finished([], distrust)
    return writer.run


def test_a_run_has_the_outcomes_of_its_expectations(tmp_path, expecting, voice):
    run = written(tmp_path, expecting("voice.loss <= 5%", "voice.loss < 2%", "voice.latency.p99 < 1s"), voice)
    assert [one.passed for one in run.outcomes] == [True, False, False]
    assert run.outcomes[2].reason == "voice.latency.p99: made up"
    assert not run.as_expected
    kept = json.loads((run.path / "run.json").read_text())["outcomes"]
    assert kept == codec.encode(run.outcomes)
    assert (kept[1]["found"], kept[1]["wanted"], kept[1]["passed"]) == (0.022, 0.02, False)
    assert load(run.path).outcomes == run.outcomes


def test_expectations_of_workloads_that_did_not_run_have_no_outcome(tmp_path, expecting, voice):
    run = written(tmp_path, expecting("voice.loss <= 5%", "download.goodput > 2 * voice.goodput"), voice)
    assert [one.expectation for one in run.outcomes] == ["voice.loss <= 5%"]
    assert run.as_expected


def test_only_a_complete_run_with_links_as_requested_is_as_expected(tmp_path, plan, make_check):
    assert written(tmp_path, plan, checks=[make_check()]).as_expected
    assert not written(tmp_path, plan, checks=[make_check(lost=300)]).as_expected
    assert not replace(written(tmp_path, plan), status="failed").as_expected


@pytest.mark.parametrize(
    ("unit", "found", "wanted", "cells"),
    [
        ("bit/s", 6_131_234.5, 5_000_000, ("6.13 mbit/s", ">= 5 mbit/s")),
        ("ns", 80_412_345, 40_000_000, ("80.4 ms", ">= 40 ms")),
        ("ns", -1_500_000, 0, ("-1.5 ms", ">= 0 ns")),
        ("ratio", 0.021, 0.05, ("2.1 %", ">= 5 %")),
        ("count", 12_345, 12_346, ("12345", ">= 12346")),
        ("count", 7, 7, ("7", ">= 7")),
        ("bytes", 74_123_456, 74_123_457, ("74.123456 MB", ">= 74.123457 MB")),
        ("bytes", 74_123_456, 74_123_456, ("74.1 MB", ">= 74.1 MB")),
        ("ratio", 0.0200001, 0.02, ("2.00001 %", ">= 2.0 %")),
        ("ns", None, 40_000_000, ("?", ">= 40 ms")),
        ("ns", None, None, ("?", ">= ?")),
    ],
)
def test_cells(unit, found, wanted, cells):
    outcome = ExpectationOutcome(expectation="x", comparison=">=", unit=unit, found=found, wanted=wanted, passed=False)
    assert formatting.outcome_cells(outcome) == cells


def test_the_table_shows_measured_and_expected_values(tmp_path, expecting, voice):
    run = written(tmp_path, expecting("voice.loss <= 5%", "voice.loss < 2%", "voice.latency.p99 < 1s"), voice)
    file = io.StringIO()
    Console(file=file, width=100, force_terminal=False).print(tables.outcome_table(run.outcomes))
    assert [" ".join(line.split()) for line in file.getvalue().splitlines()] == [
        "expect found wanted",
        "voice.loss <= 5% 2.2 % <= 5 % met",
        "voice.loss < 2% 2.2 % < 2 % NOT met",
        "voice.latency.p99 < 1 s ? < 1 s undecided",
        "voice.latency.p99: made up",
    ]


def test_junit_has_a_case_for_each_link_and_each_expectation(tmp_path, expecting, voice, make_check):
    plan = expecting("voice.loss <= 5%", "voice.loss < 2%", "voice.latency.p99 < 1s")
    broken = replace(make_check(), problem="no\x00<way>")
    run = written(tmp_path, plan, voice, checks=[make_check(), broken], distrust=["was late\x1b"])
    suites = ET.fromstring(junit_report(run))  # noqa: S314  # our own
    [suite] = suites.findall("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("name")) == ("5", "3", "lossy")
    cases = {
        (case.get("classname"), case.get("name"), *(one.get("message") for one in case.findall("failure")))
        for case in suite.findall("testcase")
    }
    assert cases == {
        ("lossy.links", "client -> server on wan"),
        ("lossy.links", "client -> server on wan", "not measured: no?<way>"),
        ("lossy.expect", "voice.loss <= 5%"),
        ("lossy.expect", "voice.loss < 2%", "found 2.2 %, wanted < 2 %"),
        ("lossy.expect", "voice.latency.p99 < 1 s", "undecided: voice.latency.p99: made up"),
    }
    assert suite.findtext("system-out") == "was late?"
