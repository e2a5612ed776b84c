import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from testbed.cli import cli
from testbed.endpoint.columns import encode
from testbed.errors import UsageError
from testbed.records import parse_table
from testbed.runs import load
from testbed.runs.observations import Row, rows_of, write_csv

KEPT = Path(__file__).parents[2] / "fixtures" / "run-of-version-1"


def test_columns_are_decoded_to_rows():
    record = {"event": "sent", "node": "client", "first": 7, "sent_ns": encode([100, 250, 300])}
    assert list(rows_of(parse_table(json.dumps(record)))) == [
        {"event": "sent", "node": "client", "seq": 7 + number, "sent_ns": at}
        for number, at in enumerate((100, 250, 300))
    ]


def test_buckets_have_the_time_when_they_begin():
    record = {"event": "bytes", "node": "server", "start_ns": 1000, "bucket_ns": 100, "bytes": encode([5, 0, 9])}
    assert [(row["at_ns"], row["bytes"]) for row in rows_of(parse_table(json.dumps(record)))] == [
        (1000, 5),
        (1100, 0),
        (1200, 9),
    ]


def test_values_that_a_command_reports_are_flattened():
    record = {"event": "sample", "node": "a", "at_ns": 5, "data": {"rtt": 3.5, "end": {"bytes": 10, "each": [1, 2]}}}
    assert list(rows_of(parse_table(json.dumps(record)))) == [
        {"event": "sample", "node": "a", "at_ns": 5, "data.rtt": 3.5, "data.end.bytes": 10, "data.end.each": [1, 2]}
    ]


def test_rows_agree_with_the_summary():
    run = load(KEPT)
    rows = list(run.samples("voice"))
    sent = {row["seq"]: row["sent_ns"] for row in rows if row["event"] == "sent"}
    received = {row["seq"]: row["received_ns"] for row in rows if row["event"] == "received"}
    summary = run.summary("voice")
    assert len(sent) == summary.number("sent")
    assert len(received) == summary.number("delivered")
    latencies = [received[seq] - sent[seq] for seq in received]
    assert (min(latencies), max(latencies)) == (summary.number("latency.min"), summary.number("latency.max"))


def test_csv_has_a_column_for_every_name():
    file = io.StringIO()
    rows: list[Row] = [{"event": "a", "x": 1}, {"event": "b", "y": [1, "z"]}]
    write_csv(lambda: rows, file)
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [
        ["event", "x", "y"],
        ["a", "1", ""],
        ["b", "", '[1, "z"]'],
    ]


def test_the_command_prints_csv_or_lists_the_events():
    shown = CliRunner().invoke(cli, ["samples", str(KEPT), "rpc", "--csv", "--event", "received"])
    rows = list(csv.DictReader(io.StringIO(shown.output)))
    assert [int(row["seq"]) for row in rows] == [*range(20)]
    assert rows[0].keys() == {"event", "node", "seq", "received_ns"}
    shown = CliRunner().invoke(cli, ["samples", str(KEPT), "rpc"])
    assert ["received", "client", "20", "seq,", "received_ns"] in [line.split() for line in shown.output.splitlines()]


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"event": "sent", "sent_ns": [1], "seq": [1, 2]}', '{"event": "x", "y": ["a"]}']
)
def test_a_malformed_line_of_samples_is_an_error_with_its_line(tmp_path, line):
    directory = tmp_path / "run"
    shutil.copytree(KEPT, directory)
    (directory / "samples" / "voice.jsonl").write_text(json.dumps({"event": "listening"}) + f"\n{line}\n")
    with pytest.raises(UsageError, match=r"samples-unreadable: .*voice\.jsonl:2: "):
        list(load(directory).samples("voice"))


def test_missing_samples_are_an_error(tmp_path):
    directory = tmp_path / "run"
    shutil.copytree(KEPT, directory)
    (directory / "samples" / "rpc.jsonl").unlink()
    with pytest.raises(UsageError, match="no-samples"):
        load(directory).samples("rpc")
    with pytest.raises(UsageError, match=r"unknown-workload(.|\n)*probe"):
        load(directory).samples("nosuch")
