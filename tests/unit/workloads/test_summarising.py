"""Summaries of records written down here, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from testbed import codec
from testbed.records import RecordError
from testbed.workloads.errors import WorkloadError
from testbed.workloads.summarising import summarise
from testbed.workloads.summary import Summary

MS = 1_000_000

Line = dict[str, Any]

SENT: Line = {"node": "client", "event": "sent", "first": 0, "sent_ns": [0, 10 * MS, 10 * MS, 10 * MS]}
RECEIVED: Line = {"node": "server", "event": "received", "seq": [0, 2, -1], "received_ns": [5 * MS, 21 * MS, 1 * MS]}
SENDER_END: Line = {"node": "client", "event": "end", "count": 4, "start_ns": -1 * MS}
RECEIVER_END: Line = {"node": "server", "event": "end", "corrupted": 3, "strangers": 2, "drops": 1}
RECORD = [SENT, SENDER_END, RECEIVED, RECEIVER_END]


@pytest.fixture
def stream(workload):
    return workload("udp-stream", rate_bps=80_000, size_bytes=100, duration_ns=40 * MS)


def test_udp_stream(stream):
    """Sent at 0, 10, 20, 30 ms; 0 arrives at 5, 2 at 26, 1 at 27; 3 is lost."""
    summary = summarise(stream, RECORD)
    assert summary.values == {
        "sent": 4,
        "delivered": 3,
        "lost": 1,
        "loss_ratio": 0.25,
        "duplicates": 0,
        "reordered": 1,
        "loss_runs": 1,
        "loss_run_mean": 1.0,
        "loss_run_max": 1,
        "sent_bytes": 400,
        "delivered_bytes": 300,
        "goodput_bps": pytest.approx(200 * 8 / 0.022),
        "first_byte_ns": 5 * MS,
        "latency_min_ns": 5 * MS,
        "latency_p50_ns": 6 * MS,
        "latency_p90_ns": 17 * MS,
        "latency_p99_ns": 17 * MS,
        "latency_max_ns": 17 * MS,
        "jitter_ns": round(1 * MS / 16 * 15 / 16 + 11 * MS / 16),
        "receiver_drops": 1,
        "corrupted": 3,
        "strangers": 2,
        "pacing_late_p99_ns": 1 * MS,
    }
    assert summary.missing == {}


def test_the_order_of_lines_of_different_nodes_does_not_matter(stream):
    assert summarise(stream, [RECEIVED, RECEIVER_END, SENT, SENDER_END]) == summarise(stream, RECORD)


@pytest.mark.parametrize("missing", [SENT, SENDER_END, RECEIVER_END])
def test_a_record_that_lacks_a_line_has_no_summary(stream, missing):
    with pytest.raises((RecordError, WorkloadError)):
        summarise(stream, [line for line in RECORD if line is not missing])


def test_a_gap_in_what_was_sent_is_an_error(stream):
    with pytest.raises(RecordError) as raised:
        summarise(stream, [SENT, {**SENT, "first": 10}])
    assert raised.value.code == "incomplete-record"


def test_an_arrival_of_an_unsent_message_is_an_error(stream):
    with pytest.raises(RecordError) as raised:
        summarise(stream, [*RECORD, {**RECEIVED, "seq": [4], "received_ns": [50 * MS]}])
    assert raised.value.code == "unknown-message"


def test_lines_of_both_ends_may_alternate(stream):
    """As they do where both tell while they work; an arrival may be told before its sending."""
    whole = summarise(stream, RECORD)
    parts = [{**SENT, "sent_ns": [0, 10 * MS]}, {**RECEIVED, "seq": [0], "received_ns": [5 * MS]}]
    parts += [{**RECEIVED, "seq": [2, -1], "received_ns": [26 * MS, 1 * MS]}]
    parts += [{**SENT, "first": 2, "sent_ns": [20 * MS, 10 * MS]}]
    assert summarise(stream, [*parts, SENDER_END, RECEIVER_END]) == whole


def test_udp_rr_distinguishes_late_lost_and_duplicate(workload):
    asked = workload("udp-rr", count=4, size_bytes=50, reply_bytes=50, timeout_ns=8 * MS)
    replies = {**RECEIVED, "node": "client", "seq": [0, 0, 1], "received_ns": [5 * MS, 1 * MS, 13 * MS]}
    ends = [{**RECEIVER_END, "node": "client", "corrupted": 1, "strangers": 1}, RECEIVER_END]
    summary = summarise(asked, [SENT, replies, *ends])
    expected = {"sent": 4, "delivered": 1, "lost": 3, "late": 1, "duplicates": 1, "loss_runs": 1, "loss_run_max": 3}
    assert {name: summary.values[name] for name in expected} == expected
    assert summary.number("latency_max_ns") == 5 * MS
    assert (summary.number("corrupted"), summary.number("strangers")) == (4, 3)


def test_ping_needs_no_server(workload):
    asked = workload("ping", count=4, interval_ns=10 * MS, size_bytes=56)
    summary = summarise(asked, [SENT, {**RECEIVED, "node": "client"}, {"node": "client", "event": "end"}])
    assert (summary.number("lost"), summary.number("reordered"), summary.number("latency_p50_ns")) == (1, 1, 6 * MS)
    assert summary.values["pacing_late_p99_ns"] is None  # a record of testbed 0.1
    end = {"node": "client", "event": "end", "start_ns": -7 * MS}
    summary = summarise(asked, [SENT, {**RECEIVED, "node": "client"}, end])
    assert summary.number("pacing_late_p99_ns") == 7 * MS


CONNECTIONS: Line = {
    "node": "client",
    "event": "connections",
    "begun_ns": [0, 100 * MS, 100 * MS],
    "connected_ns": [40 * MS],
}
CONGESTION: Line = {"node": "client", "event": "congestion", "name": "cubic"}
TCP_INFO: list[Line] = [
    {
        "node": "client",
        "event": "tcp-info",
        "at_ns": [60 * MS, 100 * MS],
        "rtt_ns": [50 * MS, 20 * MS],
        "min_rtt_ns": [43 * MS, -1 * MS],
        "busy_ns": [10 * MS, 10 * MS],
        "rwnd_limited_ns": [0, 0],
        "sndbuf_limited_ns": [0, 0],
    },
    {
        "node": "client",
        "event": "tcp-info",
        "at_ns": [260 * MS],
        "rtt_ns": [42 * MS],
        "min_rtt_ns": [41 * MS],
        "busy_ns": [40 * MS],
        "rwnd_limited_ns": [10 * MS],
        "sndbuf_limited_ns": [0],
    },
]


def test_tcp_stream(workload):
    asked = workload("tcp-stream", size_bytes=10_000)
    summary = summarise(
        asked,
        [
            {**CONNECTIONS, "begun_ns": [10 * MS], "connected_ns": [50 * MS]},
            CONGESTION,
            *TCP_INFO,
            {"node": "server", "event": "end", "bytes": 10_000, "first_byte_ns": 70 * MS, "last_byte_ns": 150 * MS},
            {"node": "client", "event": "end", "bytes": 10_000, "retransmits": 3},
        ],
    )
    assert summary.values == {
        "sent_bytes": 10_000,
        "delivered_bytes": 10_000,
        "goodput_bps": 1e6,
        "first_byte_ns": 60 * MS,
        "retransmits": 3,
        "setup_ns": 40 * MS,
        "connections": 1,
        "congestion": "cubic",
        "rtt_min_ns": 41 * MS,
        "rtt_p50_ns": 50 * MS,
        "rwnd_limited_ratio": 0.25,
        "sndbuf_limited_ratio": 0.0,
    }
    assert summary.missing == {"tls_ns": "TLS was not asked for"}


def test_tcp_stream_of_one_segment_has_no_rate(workload):
    end = {"node": "server", "event": "end", "bytes": 10, "first_byte_ns": 70 * MS, "last_byte_ns": 70 * MS}
    start = {**CONNECTIONS, "begun_ns": [10 * MS], "connected_ns": [50 * MS]}
    records = [start, CONGESTION, end, {"node": "client", "event": "end", "bytes": 10, "retransmits": 0}]
    summary = summarise(workload("tcp-stream", size_bytes=10), records)
    assert summary.missing["goodput_bps"] == "everything arrived at once"


def test_tcp_messages_wait_for_the_one_that_was_lost(workload):
    """Made at 0, 10, 20, 30 ms; the second is lost, so that it, and the two behind it, come at 70."""
    asked = workload("tcp-messages", rate_bps=80_000, size_bytes=100, duration_ns=40 * MS, tls=True)
    summary = summarise(
        asked,
        [
            {**CONNECTIONS, "begun_ns": [-80 * MS], "connected_ns": [-40 * MS], "secured_ns": [0]},
            CONGESTION,
            *TCP_INFO,
            SENT,
            {**SENDER_END, "start_ns": 0, "retransmits": 1},
            {**RECEIVED, "seq": [0, 1, 1, 1], "received_ns": [20 * MS, 50 * MS, 0, 0]},
            {"node": "server", "event": "end", "first_byte_ns": 20 * MS},
        ],
    )
    assert summary.values == {
        "sent": 4,
        "delivered": 4,
        "lost": 0,
        "loss_ratio": 0.0,
        "latency_min_ns": 20 * MS,
        "latency_p50_ns": 40 * MS,
        "latency_p90_ns": 60 * MS,
        "latency_p99_ns": 60 * MS,
        "latency_max_ns": 60 * MS,
        "sent_bytes": 400,
        "delivered_bytes": 400,
        "goodput_bps": pytest.approx(300 * 8 / 0.05),
        "jitter_ns": round(((40 / 16 * 15 + 10) / 16 * 15 + 10) * MS / 16),
        "first_byte_ns": 100 * MS,
        "pacing_late_p99_ns": 0,
        "retransmits": 1,
        "setup_ns": 80 * MS,
        "tls_ns": 40 * MS,
        "connections": 1,
        "congestion": "cubic",
        "rtt_min_ns": 41 * MS,
        "rtt_p50_ns": 50 * MS,
    }
    assert summary.missing == {}


def test_tcp_rr_counts_the_retransmits_of_both_ends(workload):
    asked = workload("tcp-rr", count=3, size_bytes=1, reply_bytes=1, connect="each")
    summary = summarise(
        asked,
        [
            {**CONNECTIONS, "connected_ns": [40 * MS, 150 * MS, 105 * MS]},  # 40, 90 and 95 ms
            CONGESTION,
            {**SENT, "sent_ns": [0, 100 * MS, 100 * MS]},
            {**RECEIVED, "node": "client", "seq": [0, 1, 1], "received_ns": [90 * MS, 150 * MS, 95 * MS]},
            {"node": "client", "event": "end", "retransmits": 3},
            {"node": "server", "event": "end", "retransmits": 4},
        ],
    )
    assert summary.number("retransmits") == 7
    assert summary.number("setup_ns") == 90 * MS
    assert summary.number("latency_p50_ns") == 135 * MS
    assert (summary.number("sent"), summary.number("lost")) == (3, 0)


def test_a_summary_goes_to_json_and_back(stream):
    summary = summarise(stream, RECORD)
    assert codec.decode(codec.encode(summary), Summary) == summary


def test_numbers_and_texts_are_not_mixed_up(stream, workload):
    with pytest.raises(TypeError):
        summarise(stream, RECORD).text("lost")
    summary = Summary(workload="w", kind="tcp-rr", values={"congestion": "cubic", "setup_ns": None}, missing={})
    assert (summary.text("congestion"), summary.number("setup_ns")) == ("cubic", None)
    with pytest.raises(TypeError):
        summary.number("congestion")
    with pytest.raises(KeyError):
        summary.number("speed")
