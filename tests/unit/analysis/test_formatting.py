import json
from dataclasses import replace

import pytest

from testbed import units
from testbed.analysis import formatting
from testbed.check.verdict import Finding, unmeasured
from testbed.impairments import (
    CERTAIN,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
)
from testbed.workloads.summary import Summary


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 ns"), (40_249_999, "40.2 ms"), (999.6, "1 us"), (1_234_567_890, "1.23 s"), (123_456_789_012, "123 s")],
)
def test_durations_have_three_digits(value, text):
    assert formatting.duration(value) == text
    units.DURATION.parse(text)


def test_rates_have_three_digits():
    assert formatting.rate(6_131_234.5) == "6.13 mbit/s"
    assert formatting.rate(62_693.4) == "62.7 kbit/s"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (1, "100 %"), (0.0213456, "2.13 %"), (0.978, "97.8 %"), (1e-9, "0 %"), (1e-5, "0.001 %")],
)
def test_ratios_have_three_digits(value, text):
    assert formatting.ratio(value) == text


def test_the_cells_of_a_tcp_stream(download):
    assert formatting.workload_cells(download) == {
        "goodput": "6.13 mbit/s",
        "delivered": "100 %",
        "lost": "-",
        "retrans": "183",
        "set-up": "80.4 ms",
        "first byte": "161 ms",
        "p50": "-",
        "p99": "-",
    }


def test_the_cells_of_a_udp_stream(voice):
    """No connection is set up, and a figure that the kind has but that could not be had shows."""
    assert formatting.workload_cells(voice) == {
        "goodput": "62.7 kbit/s",
        "delivered": "97.8 %",
        "lost": "2.2 %",
        "retrans": "-",
        "set-up": "none",
        "first byte": "40.2 ms",
        "p50": "40.3 ms",
        "p99": "?",
    }


def test_metrics_that_a_workload_can_not_have_are_shown_as_not_applicable(voice):
    """iperf3 over UDP, dns over UDP: no connection, so nothing is sent again, and loss is what the path lost."""
    values = {name: value for name, value in voice.values.items() if name != "latency_p99_ns"}
    for without in ("retransmits", "setup_ns"):
        cells = formatting.workload_cells(replace(voice, kind="iperf3", values=values, missing={without: "of UDP"}))
        assert (cells["retrans"], cells["set-up"], cells["lost"], cells["p99"]) == ("-", "none", "2.2 %", "-")


def test_bytes_under_way_at_the_end_of_iperf3_are_not_shown_as_lost(download):
    values = {**download.values, "delivered_bytes": 900}
    cells = formatting.workload_cells(replace(download, kind="iperf3", values=values, missing={"sent": "of TCP"}))
    assert cells["delivered"] == "-"


def test_the_columns_are_those_of_the_cells(voice):
    assert tuple(formatting.workload_cells(voice)) == formatting.WORKLOAD_COLUMNS


def test_rows_for_scripts_are_json(make_check):
    row = formatting.link_row(make_check())
    assert json.loads(json.dumps(row)) == row
    assert (row["delay_asked"], row["delay_measured"], row["passed"]) == (20_000_000, 20_200_000, True)


def test_a_link_shows_its_requested_values(make_check):
    plain, shaky = (
        make_check(),
        make_check(
            Impairments(
                delay_ns=20_000_000, jitter=Jitter(ns=1_000_000), loss=IndependentLoss(probability=CERTAIN // 50)
            )
        ),
    )
    assert formatting.shown_properties([plain]) == ["delay", "loss"]
    assert formatting.shown_properties([plain, shaky]) == ["delay", "jitter", "loss"]
    assert formatting.link_cell(plain, "delay") == "20 ms: 20.2 ms"
    assert formatting.link_cell(plain, "loss") == "2 %: 2 % (1.04 to 3.44)"
    assert formatting.link_cell(shaky, "jitter") == "1 ms: 0 ns"
    assert formatting.link_cell(plain, "rate") == "-"


def test_every_requested_property_has_a_column(make_check):
    bursts = GilbertElliott(to_bad=CERTAIN // 200, to_good=CERTAIN // 4)
    bursty = make_check(Impairments(delay_ns=20_000_000, loss=bursts))
    found = tuple(
        Finding(name=name, asked=asked, measured=asked, interval=None, verdict="as requested", passed=True)
        for name, asked in (("rate", 20_123_456), ("queue", 64_000), ("duplicates", 0.01))
    )
    full = replace(bursty, findings=(*bursty.findings, *found))
    assert formatting.shown_properties([full]) == ["delay", "loss", "burst", "duplicates", "rate", "queue"]
    assert formatting.link_cell(full, "rate") == "20.1 mbit/s: 20.1 mbit/s"
    assert formatting.link_cell(full, "queue") == "64 KB: 64 KB"
    assert formatting.link_cell(bursty, "burst").startswith("4: 1 (")


def test_each_unverified_property_is_listed_once(make_check):
    check = make_check()
    silent = replace(check, findings=(*check.findings, unmeasured("drops", 1, "a script")))
    assert formatting.reservations([check]) == []
    assert formatting.reservations([silent]) == ["client -> server: drops not measured: a script"]
    assert formatting.reservations([silent, silent]) == ["2 links: drops not measured: a script"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"error_responses": 20, "failed": 0, "statuses": "20 x 403"}, "20 error responses (20 x 403)"),
        ({"error_responses": 1, "failed": 2, "statuses": "1 x 500"}, "1 error response (1 x 500), 2 requests failed"),
        ({"error_responses": 0, "failed": 1, "statuses": None}, "1 request failed"),
        ({"error_responses": 0, "failed": 0, "statuses": "20 x 200"}, None),
        ({"error_answers": 3}, "3 error answers"),
    ],
)
def test_what_servers_answered_instead(values, said):
    assert formatting.error_remark(Summary(workload="x", kind="http", values=values, missing={})) == said


def test_of_many_values_in_the_course_of_time_the_first_and_the_last_are_shown():
    assert formatting.one_after_another(["1 ms", "2 ms", "1 ms", "3 ms"]) == "1 ms / 2 ms / 3 ms"
    assert formatting.one_after_another(f"{value} ms" for value in range(60)) == "0 ms / 1 ms / … / 59 ms"
