"""The codec of record lines."""

from __future__ import annotations

import json
import math
from array import array

import pytest

from testbed.records import (
    ConnectionTimes,
    End,
    RecordError,
    Sample,
    Sent,
    Table,
    format_line,
    parse,
    parse_object,
    parse_table,
    read,
)


def test_columns_are_decoded():
    line = '{"node":"a","event":"sent","first":7,"sent_ns":[100,150,50]}'
    assert parse(line) == Sent(node="a", first=7, sent_ns=array("q", [100, 250, 300]))
    assert parse_object(json.loads(line)) == parse(line.encode())


def test_a_missing_column_of_connections_is_empty():
    event = parse('{"event":"connections","begun_ns":[1],"connected_ns":[]}')
    assert isinstance(event, ConnectionTimes)
    assert [*event.secured_ns] == []


def test_the_last_line_has_the_totals():
    assert parse('{"node":"a","event":"end","count":4,"tls":null}') == End(node="a", totals={"count": 4, "tls": None})


def test_an_unknown_event_is_a_table():
    line = '{"node":"a","event":"fan","name":"x","at_ns":[1,2],"speed":[5,-1]}'
    columns = {"at_ns": array("q", [1, 3]), "speed": array("q", [5, 4])}
    table = Table(node="a", event="fan", columns=columns, values={"name": "x"})
    assert parse(line) == parse_object(json.loads(line)) == parse_table(line) == table


def test_a_known_event_as_a_table_keeps_all_fields():
    table = parse_table('{"event":"sent","first":7,"sent_ns":[1,1],"mark":[0,1],"more":true}')
    assert table.columns == {"sent_ns": array("q", [1, 2]), "mark": array("q", [0, 1])}
    assert table.values == {"first": 7, "more": True}


def test_parsing_inverts_formatting():
    line = format_line("a", "tcp-info", {"at_ns": [5, 9, 2], "cwnd": [1, 1, 1]}, process="curl")
    assert line == '{"node":"a","event":"tcp-info","process":"curl","at_ns":[5,4,-7],"cwnd":[1,0,0]}\n'
    assert parse_table(line).columns == {"at_ns": array("q", [5, 9, 2]), "cwnd": array("q", [1, 1, 1])}


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**30, "\udcff"])
def test_nan_and_unpaired_surrogates_of_programs_are_decoded(value):
    event = parse(json.dumps({"event": "sample", "at_ns": 5, "data": {"x": value}}))
    assert isinstance(event, Sample)
    assert repr(event.data) == repr({"x": value})


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"event": 5}',
        '{"event": "sent", "sent_ns": [1]}',
        '{"event": "sent", "first": 0, "sent_ns": 1}',
        '{"event": "sent", "first": 0, "sent_ns": [1.5]}',
        '{"event": "sent", "first": 0, "sent_ns": [9223372036854775807, 1]}',
        '{"event": "sent", "node": 5, "first": 0, "sent_ns": [1]}',
        '{"event": "progress", "fraction": "half"}',
        '{"event": "fan", "speed": ["a"]}',
        '{"event": "fan", "node": null}',
    ],
)
def test_an_invalid_line_is_refused(line):
    with pytest.raises(RecordError, match="unreadable-record"):
        parse(line)


def test_an_error_in_a_file_names_the_line(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text('{"event":"listening"}\n{"event":"sent"}\n')
    with pytest.raises(RecordError, match="line 2: Object missing required field `first`"):
        [*read(path)]
