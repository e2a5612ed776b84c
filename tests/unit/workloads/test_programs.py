"""Programs of the nodes' own in an endpoint's place: real ones, over loopback."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace

import pytest

from testbed.expectations import evaluate, parse
from testbed.workloads.errors import WorkloadError
from testbed.workloads.kinds.iperf3 import program as iperf3
from testbed.workloads.running import run
from testbed.workloads.summarising import summarise


def command(workload, *argv, seconds=60):
    made = workload("command", command=argv, timeout_ns=seconds * 10**9)
    return replace(made, name="work", source="client", destination="client")


def carried_out(asked, here):
    record = io.StringIO()
    summary = run(asked, here, record=record)
    events = [json.loads(line) for line in record.getvalue().splitlines()]
    assert summarise(asked, events) == summary
    return summary, events


def test_the_output_of_a_command_is_samples_and_other_lines(workload, here):
    script = "echo '{\"depth\": 3}'; echo plain; echo 17; echo odd >&2"
    summary, events = carried_out(command(workload, "sh", "-c", script), here)
    assert summary.values["samples"] == 1
    assert summary.values["lines"] == 3
    assert summary.number("duration_ns") > 0
    assert [event["data"] for event in events if event["event"] == "sample"] == [{"depth": 3}]
    assert [event["line"] for event in events if event["event"] == "output"] == ["plain", "17", "odd"]


def test_numbers_that_a_command_reports_are_metrics(workload, here):
    lines = ({"rtt-ms": 3.5, "end": {"bytes": 10}, "ok": True}, {"rtt-ms": 1.5, "end": {"bytes": 30, "note": "x"}})
    summary, _ = carried_out(command(workload, "printf", "%s\\n", *map(json.dumps, lines)), here)
    reported = {name: summary.number(name) for name in summary.labels if name.startswith("data.")}
    assert reported == {
        "data.rtt_ms": 1.5,
        "data.rtt_ms.min": 1.5,
        "data.rtt_ms.mean": 2.5,
        "data.rtt_ms.max": 3.5,
        "data.end.bytes": 30,
        "data.end.bytes.min": 10,
        "data.end.bytes.mean": 20,
        "data.end.bytes.max": 30,
    }
    kinds = {"work": "command"}
    holds = {
        text: evaluate(parse(text, kinds), {"work": summary}).passed
        for text in ("work.data.rtt_ms.max < 4", "work.data.rtt_ms >= 2", "work.data.end.bytes == 30")
    }
    assert holds == {
        "work.data.rtt_ms.max < 4": True,
        "work.data.rtt_ms >= 2": False,
        "work.data.end.bytes == 30": True,
    }
    untold = evaluate(parse("work.data.speed > 1", kinds), {"work": summary})
    assert (untold.passed, untold.reason) == (False, "work.data.speed: it was not reported")


def test_unusable_numbers_are_left_out(workload, here):
    script = 'import json; print(json.dumps({f"n{i}": i for i in range(1000)} | {"inf": float("inf"), "list": [1]}))'
    summary, _ = carried_out(command(workload, sys.executable, "-c", script), here)
    assert len([name for name in summary.values if name.startswith("data.")]) == 4 * 100


def test_more_output_than_the_queue_holds_is_read_to_the_end(workload, here):
    summary, events = carried_out(command(workload, "seq", "5000"), here)
    assert summary.values["lines"] == 5000
    assert [int(event["line"]) for event in events if event["event"] == "output"] == [*range(1, 5001)]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("sh", "-c", "echo it broke >&2; exit 3"), "command-failed", "status 3; it said: it broke"),
        (("sleep", "600"), "command-timeout", "sleep did not end within 1 s"),
        (("no-such-program",), "command-not-found", "no-such-program"),
    ],
)
def test_a_command_that_fails_fails_the_workload(workload, here, argv, code, said):
    with pytest.raises(WorkloadError) as error:
        run(command(workload, *argv, seconds=1 if argv[0] == "sleep" else 60), here, record=io.StringIO())
    assert error.value.code == code
    assert said in error.value.message


@pytest.mark.parametrize(("protocol", "address"), [("tcp", "127.0.0.1"), ("udp", "::1")])
def test_the_summary_of_iperf3_has_its_own_results(workload, here, protocol, address):
    asked = workload("iperf3", protocol=protocol, duration_ns=10**9, streams=2, rate_bps=10**6, size_bytes=1000)
    summary, events = carried_out(replace(asked, address=address), here)
    (document,) = [event["document"] for event in events if event["event"] == "iperf3"]
    assert {stream["remote_host"] for stream in document["start"]["connected"]} == {address}
    assert document["start"]["test_start"]["num_streams"] == 2
    assert summary.values["delivered_bytes"] == document["end"]["sum_received"]["bytes"] > 0
    assert {"sent", "retransmits"} - summary.values.keys() == {"sent" if protocol == "tcp" else "retransmits"}
    assert len([event for event in events if event["event"] == "sample"]) == len(document["intervals"])


@pytest.mark.parametrize("said", ["[]", "17", "{}", '{"intervals": [{}]}', '{"intervals": [{"sum": {"end": "now"}}]}'])
def test_results_of_a_form_that_iperf3_does_not_have_are_no_results(workload, said):
    client = iperf3.Client(workload("iperf3", protocol="tcp", duration_ns=10**9, streams=1), 0)
    assert [*client.line(said, 0)] == []
    (event,) = client.end(0, "", 0)
    assert (event["event"], event["code"]) == ("error", "unknown-results")


@pytest.mark.parametrize(("protocol", "helped"), [("udp", True), ("tcp", False)])
def test_the_lost_first_datagram_of_iperf3_over_udp_is_explained(workload, protocol, helped):
    client = iperf3.Client(workload("iperf3", protocol=protocol, duration_ns=10**9, streams=1), 0)
    said = "unable to read from stream socket: Resource temporarily unavailable"
    assert [*client.line(json.dumps({"error": said}), 0)] == []
    (event,) = client.end(1, "", 0)
    assert (event["code"], event["message"]) == ("command-failed", f"iperf3: {said}")
    assert ("udp-stream" in (event["hint"] or "")) is helped


def test_a_record_of_such_results_has_no_summary(workload):
    asked = workload("iperf3", protocol="tcp", duration_ns=10**9, streams=1)
    with pytest.raises(WorkloadError, match="sum_received") as error:
        summarise(asked, [{"event": "iperf3", "node": "client", "document": {"end": {"sum_sent": {"bytes": 1}}}}])
    assert error.value.code == "unknown-results"


def test_iperf3_that_can_not_connect_says_why(workload, here):
    asked = workload("iperf3", protocol="tcp", duration_ns=10**9, streams=1)
    with pytest.raises(WorkloadError, match="iperf3"):
        run(replace(asked, address="255.255.255.255"), here, record=io.StringIO())
