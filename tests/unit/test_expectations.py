import pytest

from testbed.expectations import ExpectationError, evaluate, parse
from testbed.workloads.summary import Summary

KINDS = {"download": "tcp-stream", "voice": "udp-stream", "rpc": "tcp-rr", "odd": None}


def summary(values, missing=None):
    return Summary(workload="any", kind="any", values=values, missing=missing or {})


def outcome(text, **measured):
    return evaluate(parse(text, KINDS), {name: summary(values) for name, values in measured.items()})


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("download.goodput >= 5 mbit", "download.goodput >= 5 mbit"),
        ("download.goodput>=5Mbit/s", "download.goodput >= 5 Mbit/s"),
        ("voice.loss <= 5%", "voice.loss <= 5%"),
        ("voice.loss <= 0", "voice.loss <= 0"),
        ("rpc.latency.p99 < 400ms", "rpc.latency.p99 < 400 ms"),
        ("voice.loss_run.max < 3", "voice.loss_run.max < 3"),
        ("download.first_byte-20ms>=voice.first_byte", "download.first_byte - 20 ms >= voice.first_byte"),
        ("download.goodput > 2 * voice.goodput", "download.goodput > 2 * voice.goodput"),
        (" rpc.setup\t!=  1min ", "rpc.setup != 1 min"),
        ("odd.goodput == 1 kbit", "odd.goodput == 1 kbit"),
    ],
)
def test_reads_and_prints(text, printed):
    assert str(parse(text, KINDS)) == printed


@pytest.mark.parametrize(
    ("text", "code", "at"),
    [
        ("", "bad-expectation", 0),
        ("voice.loss", "bad-expectation", 10),
        ("voice.loss =< 5%", "bad-expectation", 11),
        ("voice.loss <= ", "bad-expectation", 13),
        ("5% >= voice.loss", "bad-expectation", 0),
        ("5 < 6", "bad-expectation", 0),
        ("loss <= 5%", "bad-expectation", 0),
        ("voice.loss <= 5% and voice.lost > 3", "bad-expectation", 17),
        ("voice.lost > 1 < 2", "bad-expectation", 15),
        ("voice.lost * 2 > 1", "bad-expectation", 11),
        ("voice.lost > 2 * 3", "bad-expectation", 17),
        ("voice.lost > (3)", "bad-expectation", 13),
        ("voice.lost > -3", "bad-expectation", 13),
        ("voice.lost > 1234567890123456789", "bad-expectation", 31),
        ("__import__('os').x > 1", "bad-expectation", 0),
        ("voise.loss <= 5%", "unknown-workload", 0),
        ("voice.loss <= 2 * voise.loss", "unknown-workload", 18),
        ("voice.los <= 5%", "unknown-metric", 6),
        ("download.latency.p99 < 1s", "unknown-metric", 9),
        ("download.congestion == 5", "unknown-metric", 0),
        ("voice.loss <= 5 parsec", "unknown-unit", 14),
        ("voice.loss <= 5", "wrong-unit", 14),
        ("voice.loss <= 5 ms", "wrong-unit", 14),
        ("download.goodput >= 5", "wrong-unit", 20),
        ("download.goodput >= 5 mb", "unknown-unit", 20),
        ("download.goodput > 5 MB", "wrong-unit", 19),
        ("download.goodput >= 2 * voice.loss", "wrong-unit", 24),
        ("voice.lost < 5%", "wrong-unit", 13),
        ("5 + rpc.setup > 3ms", "wrong-unit", 0),
    ],
)
def test_invalid_data_is_an_error_with_its_path(text, code, at):
    with pytest.raises(ExpectationError) as caught:
        parse(text, KINDS)
    error = caught.value
    assert (error.code, error.at) == (code, at)
    assert error.said
    assert error.hint or error.allowed


def test_a_wrong_name_comes_with_what_is_allowed():
    with pytest.raises(ExpectationError) as caught:
        parse("download.godput >= 5 mbit", KINDS)
    assert (caught.value.found, caught.value.what) == ("godput", "metrics of tcp-stream")
    assert "goodput" in caught.value.allowed
    assert "latency.p50" not in caught.value.allowed
    assert "congestion" not in caught.value.allowed


@pytest.mark.parametrize(
    ("comparison", "below", "same", "above"),
    [
        (">=", False, True, True),
        ("<=", True, True, False),
        (">", False, False, True),
        ("<", True, False, False),
        ("==", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_comparisons(comparison, below, same, above):
    found = [outcome(f"voice.lost {comparison} 5", voice={"lost": lost}).passed for lost in (4, 5, 6)]
    assert found == [below, same, above]


@pytest.mark.parametrize("lost", range(101))
def test_what_is_exactly_as_wanted_is_not_off_by_a_rounding(lost):
    assert outcome(f"voice.loss == {lost}%", voice={"loss_ratio": lost / 100}).passed


def test_the_outcome_has_the_measured_and_the_expected_value():
    found = outcome("download.goodput >= 5 mbit", download={"goodput_bps": 6_131_234.5})
    assert (found.found, found.wanted, found.unit, found.passed) == (6_131_234.5, 5_000_000, "bit/s", True)
    assert (found.expectation, found.comparison, found.reason) == ("download.goodput >= 5 mbit", ">=", None)


def test_sums_and_multiples():
    found = outcome(
        "download.first_byte - 2 * voice.first_byte >= 1.5 ms + 500 us",
        download={"first_byte_ns": 63_000_000},
        voice={"first_byte_ns": 30_000_000},
    )
    assert (found.found, found.wanted, found.passed) == (3_000_000, 2_000_000, True)


def test_an_undecided_expectation_does_not_pass():
    measured = {"voice": summary({"goodput_bps": None}, {"goodput_bps": "a rate needs two arrivals"})}
    found = evaluate(parse("voice.goodput >= 0", KINDS), measured)
    assert (found.passed, found.found, found.wanted) == (False, None, 0)
    assert found.reason == "voice.goodput: a rate needs two arrivals"
    relation = evaluate(parse("voice.goodput != download.goodput", KINDS), measured)
    assert not relation.passed
    assert relation.reason == "voice.goodput: a rate needs two arrivals; download was not run"


def test_which_workloads_it_is_about():
    assert parse("voice.loss <= 2 * voice.loss", KINDS).workloads == {"voice"}
    assert parse("download.goodput <= voice.goodput", KINDS).workloads == {"download", "voice"}
