import io
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from testbed.analysis.samples import RecordedSamples, Samples
from testbed.check import LinkCheck
from testbed.check.verdict import unmeasured
from testbed.cli import tables
from testbed.impairments import Impairments
from testbed.records import parse_object


def shown(table, width=100):
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=False).print(table)
    return file.getvalue()


def test_workloads_fit_into_100_columns(download, voice):
    header, *_, first, second = shown(tables.workload_table([download, voice])).splitlines()
    assert header.split()[:4] == ["workload", "kind", "goodput", "delivered"]
    assert " ".join(first.split()) == "download tcp-stream 6.13 mbit/s 100 % - 183 80.4 ms 161 ms - -"
    assert " ".join(second.split()) == "voice udp-stream 62.7 kbit/s 97.8 % 2.2 % - none 40.2 ms 40.3 ms ?"


@pytest.fixture
def recorded(plan):
    samples = Samples(plan.workloads[0])
    samples.add(
        parse_object({"node": "server", "event": "bytes", "start_ns": 0, "bucket_ns": 10**8, "bytes": [5] * 10})
    )
    return RecordedSamples(samples={"voice": samples}, problems={})


def test_columns_without_a_value_in_any_workload_are_left_out(voice):
    header, _ = shown(tables.workload_table([voice])).splitlines()
    assert "retrans" not in header
    assert "set-up" in header


def test_a_sparkline_is_shown_where_there_is_room(download, voice, recorded):
    for width, expected in ((200, True), (100, False)):
        text = shown(tables.workload_table([download, voice], recorded), width)
        assert ("▁" in text) is expected
        assert ("over time" in text) is expected


def test_no_sparkline_is_shown_where_its_characters_can_not_be_encoded(voice, recorded):
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=file, width=200).print(tables.workload_table([voice], recorded))
    file.seek(0)
    assert "over time" not in file.read()


def test_links_show_asked_measured_and_verdict(make_check):
    header, good, bad, caption = shown(tables.link_table([make_check(), make_check(delay_ns=30_000_000)])).splitlines()
    assert header.split() == ["link", "delay", "loss", "verdict"]
    assert caption.strip() == "requested: measured"
    assert "20 ms: 20.2 ms" in good
    assert good.rstrip().endswith("as requested")
    assert bad.rstrip().endswith("delay too high")


@pytest.mark.parametrize("width", [60, 80, 100])
def test_nothing_is_cut_off(make_check, download, voice, width):
    text = shown(tables.link_table([make_check(delay_ns=30_000_000)]), width)
    text += shown(tables.workload_table([download, voice]), width)
    words = text.split()
    for word in ("too", "high", "measured", "6.13", "62.7", "183", "80.4", "161", "40.2", "40.3", "?"):
        assert word in words


def test_links_that_were_not_measured_are_reported_as_such(make_check):
    check = make_check()
    slow = replace(check, findings=(*check.findings, unmeasured("rate", 10**10, "this machine is too slow")))
    text = shown(tables.link_table([slow]))
    assert "10 gbit/s: ?" in text
    assert "client -> server: rate not measured: this machine is too slow" in text


def test_links_that_were_not_measured_share_a_line(make_check):
    skipped = [replace(make_check(), source=name, findings=(), skipped="the check may take 1 s") for name in "abc"]
    text = shown(tables.link_table([make_check(), *skipped]))
    assert "3 links: not measured: the check may take 1 s" in text
    assert "a -> server" not in text


def test_a_link_that_could_not_be_probed_is_shown_with_the_reason():
    broken = LinkCheck(
        source="client",
        destination="server",
        network="wan",
        asked=Impairments(delay_ns=1),
        sent=0,
        arrived=0,
        findings=(),
        problem="[Errno 1] no",
    )
    assert "not measured: [Errno 1] no" in shown(tables.link_table([broken]))


@pytest.mark.parametrize("module", ["testbed.runs", "testbed.check"])
def test_rich_is_not_imported_before_it_is_needed(module):
    code = f"import sys, {module}; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
