"""The summary of a record written down here."""

from __future__ import annotations

import pytest

from testbed.metrics import METRICS
from testbed.plan.workloads import Workload
from testbed.workloads.summarising import summarise

MS = 1_000_000

PAGES = Workload(
    name="pages",
    kind="http",
    source="client",
    destination="web",
    address="198.18.1.2",
    port=443,
    seed=7,
    parameters={"count": 4, "tls": True},
)
END = {
    "event": "end",
    "sent_bytes": 40,
    "retransmits": 2,
    "server": "x/1",
    "protocol": "HTTP/2",
    "tls": "TLSv1.3",
    "certificate": "ab",
}


def recorded(*lines):
    return summarise(PAGES, [{"node": "client", **line} for line in (*lines, END)])


def test_http():
    """Begun at 0, 10, 20, 30 ms: answered at 8, 16 (an error) and 38 ms; the last one failed."""
    summary = recorded(
        {
            "event": "connections",
            "begun_ns": [-9 * MS, 1 * MS],
            "connected_ns": [-7 * MS, 1 * MS],
            "secured_ns": [-4 * MS, 2 * MS],
        },
        {"event": "congestion", "name": "cubic"},
        {"event": "sent", "first": 0, "sent_ns": [0, 10 * MS, 10 * MS, 10 * MS]},
        {"event": "received", "seq": [0, 2], "received_ns": [8 * MS, 30 * MS]},
        {
            "event": "responses",
            "seq": [0, 1, 1],
            "status": [200, 203, -203],
            "first_byte_ns": [6 * MS, 9 * MS, 15 * MS],
            "received_ns": [8 * MS, 8 * MS, 22 * MS],
            "bytes": [100, -90, 190],
        },
        {"event": "failed", "code": "timeout", "message": "-", "seq": [3]},
        {"event": "bytes", "start_ns": 6 * MS, "bucket_ns": 100 * MS, "bytes": [310]},
    )
    assert summary.values == {
        "sent": 4,
        "delivered": 2,
        "lost": 2,
        "loss_ratio": 0.5,
        "latency_min_ns": 8 * MS,
        "latency_p50_ns": 8 * MS,
        "latency_p90_ns": 18 * MS,
        "latency_p99_ns": 18 * MS,
        "latency_max_ns": 18 * MS,
        "sent_bytes": 40,
        "delivered_bytes": 300,
        "goodput_bps": pytest.approx(300 * 8 / 0.032),
        "first_byte_ns": 15 * MS,
        "ttfb_p50_ns": 6 * MS,
        "ttfb_p90_ns": 10 * MS,
        "ttfb_p99_ns": 10 * MS,
        "request_rate": pytest.approx(2 / 0.038),
        "error_responses": 1,
        "failed": 1,
        "statuses": "2 x 200, 1 x 403",
        "setup_ns": 5 * MS,
        "tls_ns": 3 * MS,
        "connections": 2,
        "retransmits": 2,
        "congestion": "cubic",
        "protocol": "HTTP/2 over TLSv1.3",
        "server": "x/1",
    }
    assert summary.missing == {}
    assert summary.values.keys() == {name for name, metric in METRICS.items() if "http" in metric.kinds}


def test_an_unknown_metric_is_missing_with_the_reason():
    summary = recorded({"event": "failed", "code": "timeout", "message": "-", "seq": [0]})
    assert summary.values["failed"] == 1
    assert {name for name, value in summary.values.items() if value is None} == summary.missing.keys()
    assert {
        "latency_p50_ns",
        "goodput_bps",
        "request_rate",
        "statuses",
        "first_byte_ns",
        "ttfb_p50_ns",
    } <= summary.missing.keys()
