import pytest

from testbed.impairments import CERTAIN
from testbed.units import DURATION, PROBABILITY, RATE, SIZE, format_cpu_set, parse_cpu_set, parse_cpus


@pytest.mark.parametrize(
    ("quantity", "text", "value"),
    [
        (DURATION, "0", 0),
        (DURATION, "0.0", 0),
        (DURATION, "10ns", 10),
        (DURATION, "200us", 200_000),
        (DURATION, "40ms", 40_000_000),
        (DURATION, "0.1ms", 100_000),
        (DURATION, "1.5s", 1_500_000_000),
        (DURATION, "2min", 120_000_000_000),
        (DURATION, "40 ms", 40_000_000),
        (RATE, "64kbit", 64_000),
        (RATE, "20mbit", 20_000_000),
        (RATE, "20Mbit", 20_000_000),
        (RATE, "1gbit", 10**9),
        (RATE, "9bit", 9),
        (RATE, "20 mbit/s", 20_000_000),
        (SIZE, "200B", 200),
        (SIZE, "64KB", 64_000),
        (SIZE, "64kB", 64_000),
        (SIZE, "64KiB", 65_536),
        (SIZE, "256MB", 256_000_000),
        (SIZE, "1GiB", 2**30),
        (PROBABILITY, "0", 0),
        (PROBABILITY, "50%", CERTAIN // 2),
        (PROBABILITY, "100%", CERTAIN),
        (PROBABILITY, "2%", 85_899_346),
        (PROBABILITY, "0.5 %", 21_474_836),
    ],
)
def test_parses(quantity, text, value):
    assert quantity.parse(text) == value


@pytest.mark.parametrize(
    ("quantity", "text", "words"),
    [
        (DURATION, "40", ['"40" has no unit', "40ms"]),
        (DURATION, "1.5", ['"1.5" has no unit']),
        (DURATION, "40m", ['"40m" is not a duration', "40ms"]),
        (DURATION, "-40ms", ['"-40ms" is not a duration']),
        (DURATION, "0.5ns", ["finer than 1 ns"]),
        (DURATION, "999999999999999999s", ["is more than"]),
        (DURATION, "", ['"" is not a duration']),
        (DURATION, "٤ms", ["is not a duration"]),
        (DURATION, "4ms\n", ["is not a duration"]),
        (DURATION, "9" * 5000 + "ms", ["is not a duration"]),
        (RATE, "20", ["has no unit", "20mbit"]),
        (RATE, "20mbps", ["is not a rate"]),
        (RATE, "0.5bit", ["finer than 1 bit/s"]),
        (SIZE, "64Kb", ["is not a size", "64KB"]),
        (SIZE, "1.0001KB", ["finer than 1 B"]),
        (PROBABILITY, "0.02", ["has no unit", "2%"]),
        (PROBABILITY, "101%", ["more than 100 %"]),
        (PROBABILITY, "0.000000001%", ["less than"]),
    ],
)
def test_says_what_is_wrong(quantity, text, words):
    with pytest.raises(ValueError) as raised:
        quantity.parse(text)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        (DURATION, 0, "0 ns"),
        (DURATION, 40_000_000, "40 ms"),
        (DURATION, 1_500_000_000, "1.5 s"),
        (DURATION, 120_000_000_000, "120 s"),
        (DURATION, 100_050, "100.05 us"),
        (RATE, 20_000_000, "20 mbit/s"),
        (SIZE, 65_536, "65.536 KB"),
        (SIZE, 999, "999 B"),
        (PROBABILITY, 85_899_346, "2 %"),
        (PROBABILITY, CERTAIN, "100 %"),
        (PROBABILITY, 0, "0 %"),
    ],
)
def test_formats(quantity, value, text):
    assert quantity.format(value) == text


def test_cpus():
    assert parse_cpus("0.5") == 500
    assert parse_cpus("2") == 2000
    with pytest.raises(ValueError, match="number of CPU cores"):
        parse_cpus("half")
    with pytest.raises(ValueError, match=r"finer than 0\.001"):
        parse_cpus("0.0001")


def test_cpu_sets():
    assert parse_cpu_set("0-1,3") == (0, 1, 3)
    assert parse_cpu_set("8191,3, 2-4") == (2, 3, 4, 8191)
    assert [format_cpu_set(parse_cpu_set(text)) for text in ("1,0,3", "5", "0-2,4-5")] == ["0-1,3", "5", "0-2,4-5"]
    for wrong in ("", "x", "1-", "-1", "1,,2", "0-1-2", "3-1", "8192"):
        with pytest.raises(ValueError, match=r"CPU|more than"):
            parse_cpu_set(wrong)
