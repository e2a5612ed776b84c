"""Traces and measured delays in files."""

import json
import runpy
from io import BytesIO
from pathlib import Path

import pytest

from testbed import codec
from testbed.impairments import (
    Impairments,
    Opportunities,
    RateSteps,
    Times,
)
from testbed.plan import resolve
from testbed.topology import loads, traces

FOLDER = Path(__file__).parents[3] / "topologies" / "traces"
MS, S = 10**6, 10**9
MBIT = 10**6


def test_mahimahi_repeats_at_its_last_line():
    made = traces.trace(BytesIO(b"0\n1\n1\n\n# a comment\n 4 \n"), "a.trace")
    assert made == Opportunities(times_ns=Times((0, MS, MS, 4 * MS)), frame_bytes=1514, period_ns=4 * MS)


def test_a_trace_as_long_as_those_of_mahimahi_is_taken(tmp_path):
    """Half a million opportunities, the first of them at 0, many at the same time, and seconds without any."""
    times = [0] * 4 + [place // 8 * (1 + place % 1000 // 990) for place in range(500_000)]
    times.sort()
    (tmp_path / "LTE.down").write_text("".join(f"{time}\n" for time in times))
    text = "{name: x, nodes: {a: , b: }, links: [{from: a, to: b, rate: {trace: LTE.down}}]}"
    (link,) = resolve(loads(text, "x.yml", tmp_path)).links
    assert link.impairments.bottleneck is not None
    rate = link.impairments.bottleneck.rate
    assert isinstance(rate, Opportunities)
    assert [time // MS for time in rate.times_ns] == times
    assert codec.decode(json.loads(json.dumps(codec.encode(link.impairments))), Impairments) == link.impairments


def test_one_line_is_a_steady_rate():
    assert traces.opportunities(BytesIO(b"1\n")).mean_bps == 1514 * 8 * 1000


@pytest.mark.parametrize(
    "text",
    [
        "0s,20mbit\n5s,5mbit\n",
        "time,rate\n0ms,20mbit\n5000ms,5000kbit\n",
        "time_s,rate_mbit\n0,20\n5,5\n",
        "TIME_ms, RATE_kbit\r\n1000, 20000\r\n6000, 5000\r\n",
        "# comment\n100s,20mbit\n105s,5mbit\n",
    ],
)
def test_rates_with_units_or_a_header(text):
    expected = RateSteps(starts_ns=(0, 5 * S), rates_bps=(20 * MBIT, 5 * MBIT), period_ns=10 * S)
    assert traces.trace(BytesIO(text.encode()), "a.CSV") == expected


def test_the_last_rate_lasts_as_long_as_the_one_before():
    made = traces.rates(BytesIO(b"0s,1mbit\n10s,0\n10.5s,1mbit\n"))
    assert (made.starts_ns[-1], made.period_ns) == (10_500 * MS, 11 * S)


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (traces.opportunities, "", "lasts no time"),
        (traces.opportunities, "0\n0\n", "lasts no time"),
        (traces.opportunities, "1\n1.5\n", "line 2 is no whole number"),
        (traces.opportunities, "-1\n", "line 1"),
        (traces.opportunities, "# x\n3\n2\n", "line 3 is earlier"),
        (traces.rates, "", "fewer than two"),
        (traces.rates, "0s,1mbit\n", "fewer than two"),
        (traces.rates, "0s,0\n1s,0\n", "all rates are 0"),
        (traces.rates, "0s,1mbit\n0s,2mbit\n", "line 2 is not later"),
        (traces.rates, "0s,1mbit\n1s\n", "line 2 is not TIME,RATE"),
        (traces.rates, "0,1\n1,2\n", 'line 1 is wrong: "1" has no unit'),
        (traces.rates, "time_s,rate_mbit\n0,1\n1,2mbit\n", "line 3 is wrong"),
    ],
)
def test_an_invalid_trace_is_refused(parse, text, words):
    with pytest.raises(ValueError, match=words):
        parse(BytesIO(text.encode()))


def test_a_table_of_rates_has_a_million_lines_at_most():
    text = "".join(f"{place}s,1mbit\n" for place in range(traces.MOST_ENTRIES + 1))
    with pytest.raises(ValueError, match="more than 1000000 entries"):
        traces.rates(BytesIO(text.encode()))


@pytest.mark.parametrize("text", ["1\n2\n3\n", "10ms\n20ms\n30000us\n", "-1.5\n0\n1.5\n"])
def test_delays_in_any_unit(text):
    assert traces.delays(BytesIO(text.encode()), "") == (-10033, 0, 10033)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "fewer than two"),
        ("5\n", "fewer than two"),
        ("5\n5\n", "all the same"),
        ("5ms\n6\n", 'line 2 is wrong: "6" has no unit'),
        ("5ms\nslow\n", "line 2 is wrong"),
        ("1e400\n2\n", "line 1 is wrong"),
    ],
)
def test_an_invalid_table_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        traces.delays(BytesIO(text.encode()), "")


def test_the_shipped_traces_are_what_their_script_makes():
    made = runpy.run_path(str(FOLDER / "make.py"))
    assert [f"{time}" for time in made["mobile"]()] == (FOLDER / "mobile.trace").read_text().splitlines()
    assert [f"{a},{b}" for a, b in made["train"]()] == (FOLDER / "train.csv").read_text().splitlines()[1:]
    assert [f"{delay:.3f}ms" for delay in made["delays"]()] == (FOLDER / "delays.txt").read_text().splitlines()
