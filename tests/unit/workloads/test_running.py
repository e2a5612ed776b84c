"""Workloads carried out, over loopback and over a bad path made by the test; and how they fail."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from testbed.metrics import METRICS
from testbed.workloads import running
from testbed.workloads.errors import WorkloadError
from testbed.workloads.running import run
from testbed.workloads.summarising import summarise

if TYPE_CHECKING:
    from testbed.plan.workloads import Workload
    from testbed.workloads.nodes import Nodes
    from testbed.workloads.summary import Summary

RR = {"count": 50, "size_bytes": 100, "reply_bytes": 1000}
KINDS: dict[str, dict[str, Any]] = {
    "tcp-stream": {"size_bytes": 1_000_000, "congestion": "reno"},
    "tcp-rr": {**RR, "connect": "each"},
    "tcp-messages": {"rate_bps": 800_000, "size_bytes": 100, "duration_ns": 200_000_000, "tls": True},
    "udp-stream": {"rate_bps": 800_000, "size_bytes": 100, "duration_ns": 200_000_000},
    "udp-rr": {**RR, "timeout_ns": 20 * 10**9},
}
NOT_OF_EACH: dict[str, set[str]] = {
    "tcp-stream": {"tls_ns", "rwnd_limited_ratio", "sndbuf_limited_ratio"},
    "tcp-rr": {"tls_ns", "rtt_min_ns", "rtt_p50_ns"},
    "tcp-messages": set(),
    "udp-stream": set(),
    "udp-rr": set(),
}


def carry_out(workload: Workload, nodes: Nodes, **options: Any) -> tuple[Summary, io.StringIO]:
    record = io.StringIO()
    return run(workload, nodes, record=record, in_flight_ns=50_000_000, **options), record


@pytest.mark.parametrize("kind", KINDS)
def test_a_clear_path_delivers_all(here, workload, kind):
    asked = workload(kind, **KINDS[kind])
    fractions: list[float] = []
    summary, record = carry_out(asked, here, progress=fractions.append)
    assert (summary.workload, summary.kind) == ("download", kind)
    assert {*summary.values, *summary.missing} == {name for name, metric in METRICS.items() if kind in metric.kinds}
    assert set(summary.missing) <= {"loss_run_mean", "loss_run_max", "goodput_bps", *NOT_OF_EACH[kind]}
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert fractions == sorted(fractions) != []
    if kind == "tcp-stream":
        assert summary.number("delivered_bytes") == summary.number("sent_bytes") == 1_000_000
        assert summary.text("congestion") == "reno"
        assert 0 < (summary.number("setup_ns") or 0) < (summary.number("first_byte_ns") or 0)
    else:
        expected = 200 if "rate_bps" in KINDS[kind] else 50
        assert summary.number("sent") == summary.number("delivered") == expected
        assert summary.number("lost") == summary.number("loss_ratio") == 0
        latencies = [summary.number(f"latency_{name}_ns") or 0 for name in ("min", "p50", "p90", "p99", "max")]
        assert latencies == sorted(latencies)
        assert latencies[0] > 0
    lines = [json.loads(line) for line in record.getvalue().splitlines()]
    assert {line["node"] for line in lines} == {"client", "server"}
    assert summarise(asked, lines) == summary


def test_several_workloads_run_at_once(here, workload):
    asked = [
        replace(workload(kind, **parameters), source=f"{kind} client", destination=f"{kind} server")
        for kind, parameters in KINDS.items()
    ]
    with ThreadPoolExecutor() as pool:
        summaries = list(pool.map(lambda one: carry_out(one, here)[0], asked))
    assert [summary.kind for summary in summaries] == list(KINDS)
    assert summaries[1].number("connections") == 50


class BadPath(threading.Thread):
    """Passes datagrams on to a port: loses number 10 to 12 and 20, doubles 30, and lets 41 overtake 40."""

    def __init__(self, to_port: int) -> None:
        super().__init__()
        self.front = socket.socket(type=socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.front.settimeout(60)
        self.target = ("127.0.0.1", to_port)

    def run(self) -> None:
        held = b""
        with self.front, socket.socket(type=socket.SOCK_DGRAM) as back:
            for number in range(200):
                data = self.front.recv(2000)
                if number in (10, 11, 12, 20):
                    continue
                if number == 40:
                    held = data
                    continue
                for _ in range(2 if number == 30 else 1):
                    back.sendto(data, self.target)
                if number == 41:
                    back.sendto(held, self.target)


def test_the_effects_of_a_bad_path_are_measured(here, workload):
    asked = workload("udp-stream", **KINDS["udp-stream"])
    path = BadPath(asked.port)
    here.detour = path.front.getsockname()[1]
    path.start()
    summary, _ = carry_out(asked, here)
    path.join()
    expected = {
        "sent": 200,
        "delivered": 196,
        "lost": 4,
        "loss_ratio": 0.02,
        "loss_runs": 2,
        "loss_run_mean": 2.0,
        "loss_run_max": 3,
        "duplicates": 1,
        "reordered": 1,
        "sent_bytes": 20_000,
        "delivered_bytes": 19_600,
        "corrupted": 0,
        "strangers": 0,
    }
    assert {name: summary.values[name] for name in expected} == expected


def test_metrics_of_a_path_that_loses_all_are_missing_with_the_reason(here, workload):
    asked = workload("udp-stream", **KINDS["udp-stream"])
    with socket.socket(type=socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", 0))
        here.detour = hole.getsockname()[1]
        summary, _ = carry_out(asked, here)
    assert (summary.number("delivered"), summary.number("loss_ratio")) == (0, 1)
    assert summary.values["latency_p50_ns"] is None
    assert summary.missing["latency_p50_ns"] == "nothing was delivered"
    assert {name for name, value in summary.values.items() if value is None} == set(summary.missing)


def test_the_servers_own_error_is_the_workloads(here, workload):
    asked = workload("tcp-rr", **RR, connect="once")
    with socket.create_server(("127.0.0.1", asked.port)), pytest.raises(WorkloadError) as raised:
        carry_out(asked, here)
    assert raised.value.code == "port-in-use"
    assert "workload download: server: " in raised.value.message


def test_a_killed_server_is_named(here, workload):
    asked = workload("tcp-stream", duration_ns=60 * 10**9)

    def kill(_):
        if here.started["server"].process.poll() is None:
            os.kill(here.started["server"].process.pid, signal.SIGKILL)

    with pytest.raises(WorkloadError) as raised:
        carry_out(asked, here, progress=kill)
    assert raised.value.code in ("endpoint-died", "connection-reset")
    assert "server: the endpoint died with status -9" in raised.value.message


def test_an_interrupted_run_leaves_no_endpoint(here, workload):
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(workload("tcp-stream", duration_ns=60 * 10**9), here, progress=interrupt)
    assert here.started.keys() == {"client", "server"}
    assert all(local.wait() != 0 for local in here.started.values())


@pytest.mark.parametrize(
    ("program", "code", "found"),
    [
        ("", "endpoint-died", "server: the endpoint died with status 0"),
        ("import sys; sys.exit(3)", "endpoint-died", "status 3"),
        ("print('Segmentation fault')", "endpoint-output", "'Segmentation fault"),
        ("print('[1]')", "endpoint-output", "'[1]"),
    ],
)
def test_an_endpoint_that_breaks_the_protocol_fails_the_workload(here, workload, program, code, found):
    here.programs["server"] = program
    with pytest.raises(WorkloadError) as raised:
        carry_out(workload("udp-rr", **RR, timeout_ns=1), here)
    assert raised.value.code == code
    assert found in raised.value.message


def test_a_silent_endpoint_fails_the_workload(here, workload, monkeypatch):
    monkeypatch.setattr(running, "SILENCE_S", 0.5)
    here.programs["server"] = "import time; time.sleep(600)"
    with pytest.raises(WorkloadError) as raised:
        carry_out(workload("udp-rr", **RR, timeout_ns=1), here)
    assert raised.value.code == "endpoint-silent"
    assert "server said nothing" in raised.value.message


def test_an_endpoint_that_never_stops_writing_is_killed_with_the_other(here, workload):
    here.programs["server"] = 'print(\'{"event":"listening"}\')\nwhile True: print(\'{"event":"more"}\')'
    here.programs["client"] = 'print(\'{"event":"error","code":"made-up","message":"m","hint":null}\')'
    before = threading.active_count()
    with pytest.raises(WorkloadError, match="made-up"):
        carry_out(workload("udp-rr", **RR, timeout_ns=1), here)
    assert threading.active_count() == before


def test_an_unknown_kind_is_an_error(here, workload):
    with pytest.raises(WorkloadError) as raised:
        carry_out(workload("gopher"), here)
    assert raised.value.code == "unknown-kind"
    assert not here.started
