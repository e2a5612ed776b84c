"""Links changed while their lab is up, by the words of the file."""

from pathlib import Path

import pytest

from testbed.errors import UsageError
from testbed.plan import changes, resolve
from testbed.plan.live_faults import read_fault
from testbed.topology import loads

PLAN = resolve(
    loads(
        "name: x\nnodes: {a: , b: }\nlinks:\n"
        "  - {from: a, to: b, delay: 40ms, jitter: 4ms, loss: 2%, rate: 10mbit, queue: 50KB, overhead: 4B}\n",
        "file.yml",
    )
)


def describe(source="a", destination="b", **asked):
    link = changes.locate(PLAN, source, destination)
    return changes.changed(PLAN, link, asked).impairments.describe()


def test_a_misspelled_key_within_a_value_or_of_a_fault():
    with pytest.raises(UsageError, match='unknown-key: jitter has no key "sprad"\n  hint: did you mean "spread"'):
        describe(jitter="{sprad: 3ms}")
    with pytest.raises(UsageError, match='unknown-key: dns has no key "fials"\n  hint: did you mean "fails"'):
        read_fault(PLAN, "a", "dns", {"name": "b", "fials": "nxdomain"})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"loss": "10%"}, "delay 40 ms, jitter 4 ms, loss 10 %, rate 10 mbit/s, overhead 4 B, queue 50 KB"),
        ({"loss": "{rate: 2%, burst: 4}"}, "delay 40 ms, jitter 4 ms, loss 2 % in bursts of 4, rate 10 mbit/s, "),
        ({"jitter": "{spread: 1ms, distribution: normal}"}, "delay 40 ms, jitter 1 ms normal, loss 2 %"),
        ({"drop": "[3, 17]"}, "loss 2 %, drop no. 3, 17 of all, rate"),
        ({"drop": "{first: syn}"}, "drop no. 1 of tcp flags sA, rate"),
        ({"blackhole": "true"}, "delay 40 ms, jitter 4 ms, loss 100 %, rate"),
        ({"blackhole": "false"}, "delay 40 ms, jitter 4 ms, loss 2 %, rate"),
        ({"blackhole": True}, "delay 40 ms, jitter 4 ms, loss 100 %, rate"),
        ({"loss": 0}, "delay 40 ms, jitter 4 ms, rate"),
        ({"drop": [3, 17]}, "loss 2 %, drop no. 3, 17 of all, rate"),
        ({"drop": (3, 17)}, "loss 2 %, drop no. 3, 17 of all, rate"),
        ({"drop": [{"first": "rst"}, {"packets": "udp", "every": 2}]}, "flags r, drop every 2. of udp"),
        ({"jitter": {"spread": "1ms", "distribution": "normal"}}, "delay 40 ms, jitter 1 ms normal, loss 2 %"),
        ({"loss": {"rate": "2%", "burst": 4}}, "loss 2 % in bursts of 4"),
        ({"queue": {"discipline": "codel", "ecn": True}}, "queue 50 KB codel with ECN"),
        ({"rate": "0"}, "delay 40 ms, jitter 4 ms, loss 2 %"),
        ({"rate": "5mbit"}, "rate 5 mbit/s, overhead 4 B, queue 50 KB"),
        ({"queue": "100ms"}, "rate 10 mbit/s, overhead 4 B, queue 125 KB"),
        ({"queue": "{discipline: codel}"}, "rate 10 mbit/s, overhead 4 B, queue 50 KB codel"),
        ({"delay": "1ms", "jitter": "0"}, "delay 1 ms, loss 2 %, rate 10 mbit/s, overhead 4 B, queue 50 KB"),
        ({"duplicate": "1%", "reorder": "{rate: 1%, late: 10ms}"}, "duplicate 1 %, reorder 1 % 10 ms late"),
    ],
)
def test_impairments_that_are_not_named_stay(asked, words):
    assert words in describe(**asked)


def after(*changes_):
    """The link from a to b, changed several times."""
    link = changes.locate(PLAN, "a", "b")
    for each in changes_:
        link = changes.changed(PLAN, link, each)
    return link.impairments


def test_a_blackhole_gives_the_loss_back_that_was_there_or_changed_meanwhile():
    assert after({"blackhole": True}, {"blackhole": False}) == after()
    assert after({"blackhole": True}, {"delay": "50ms"}, {"blackhole": True}, {"blackhole": False}) == after(
        {"delay": "50ms"}
    )
    assert after({"blackhole": True, "loss": "5%"}, {"blackhole": False}) == after({"loss": "5%"})
    assert after({"loss": "100%"}, {"blackhole": False}) == after({"loss": "100%"})


def test_another_loss_ends_a_blackhole():
    assert after({"blackhole": True}, {"loss": "5%"}) == after({"loss": "5%"})


def test_a_queue_given_as_a_time_follows_the_rate_and_others_do_not():
    assert after({"queue": "100ms"}, {"rate": "100mbit"}).bottleneck.queue_bytes == 1_250_000
    assert after({"queue": "100ms"}, {"rate": "2mbit"}).bottleneck.queue_bytes == 25_000
    assert (
        after({"queue": {"limit": "100ms", "discipline": "codel"}}, {"rate": "2mbit"}).bottleneck.queue_bytes == 25_000
    )
    assert (
        after({"queue": "100ms"}, {"queue": {"discipline": "codel"}}, {"rate": "2mbit"}).bottleneck.queue_bytes
        == 25_000
    )
    for queue in ("64KB", "40 packets", "1bdp"):
        size = after({"queue": queue}).bottleneck.queue_bytes
        assert after({"queue": queue}, {"rate": "100mbit"}).bottleneck.queue_bytes == size
    assert after({"queue": "100ms"}, {"queue": "64KB"}, {"rate": "2mbit"}).bottleneck.queue_bytes == 64_000


def test_a_queue_given_as_a_time_follows_the_mean_rate_of_a_trace(tmp_path, monkeypatch):
    (tmp_path / "up.csv").write_text("0s,2mbit\n1s,4mbit\n")
    monkeypatch.chdir(tmp_path)
    traced = {"rate": {"trace": "up.csv"}}
    assert after({"queue": "100ms"}, traced).bottleneck.queue_bytes == 37_500
    assert after({"queue": "100ms"}, traced, {"rate": "10mbit"}) == after({"queue": "100ms"})


def test_a_queue_given_as_a_time_must_still_hold_a_frame():
    with pytest.raises(UsageError, match="queue comes to 125 B"):
        after({"queue": "100ms"}, {"rate": "10kbit"})


def test_what_a_rate_of_0_takes_away_comes_back_with_the_next():
    assert after({"queue": "100ms"}, {"rate": 0}, {"rate": "2mbit"}) == after({"queue": "100ms"}, {"rate": "2mbit"})
    assert after({"rate": "0"}, {"rate": "10mbit"}) == after()


def test_nothing_is_left_of_a_bottleneck_that_goes():
    assert describe(rate="0") == "delay 40 ms, jitter 4 ms, loss 2 %"


def test_a_clear_direction_gets_the_default_queue():
    assert describe("b", "a", rate="10mbit", delay="10ms") == "delay 10 ms, rate 10 mbit/s, queue 62.5 KB"


def test_a_trace_is_looked_for_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "up.csv").write_text("0s,2mbit\n1s,4mbit\n")
    monkeypatch.chdir(tmp_path)
    for asked in ("{trace: up.csv}", {"trace": "up.csv"}, {"trace": Path("up.csv")}):
        assert "rate 3 mbit/s on average, by trace, overhead 4 B, queue 50 KB" in describe(rate=asked)


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ({"los": "1%"}, "unknown-key", "did you mean loss"),
        ({"loss": "10"}, "bad-value", 'loss is wrong: "10" has no unit'),
        ({"loss": 10}, "bad-value", 'loss is wrong: "10" has no unit'),
        ({"loss": 0.1}, "bad-value", 'loss is wrong: "0.1" has no unit'),
        ({"loss": True}, "wrong-type", "loss is true, must be"),
        ({"blackhole": 1}, "wrong-type", "blackhole is 1, must be true or false"),
        ({"drop": {3}}, "bad-value", "drop is {3}, which a topology file can't contain"),
        ({"drop": ["3"]}, "wrong-type", 'drop[0] is "3", must be a whole number'),
        ({"delay": float("nan")}, "bad-value", "delay is nan, which a topology file can't contain"),
        ({"delay": b"1ms"}, "bad-value", "delay is b'1ms', which a topology file can't contain"),
        ({"jitter": {"spread": 4}}, "bad-value", 'jitter.spread is wrong: "4" has no unit'),
        ({"jitter": {5: "4ms"}}, "missing-key", "jitter lacks"),
        ({"loss": None}, "bad-value", "loss has no value"),
        ({"loss": ""}, "bad-value", "loss has no value"),
        ({"loss": "{rate: }"}, "bad-value", "loss.rate has no value"),
        ({"loss": "2%\ndelay: 3ms"}, "bad-value", "several lines"),
        ({"loss": "{rate: 2%, brust: 4}"}, "unknown-key", 'loss has no key "brust"'),
        ({"loss": "{rate: 90%, burst: 2}"}, "impossible-burst", "loss.rate is 90 %"),
        ({"delay": "1ms"}, "jitter-exceeds-delay", "a -> b: jitter is 4 ms, more than the delay, 1 ms"),
        ({"rate": "0", "queue": "100ms"}, "queue-without-rate", "no rate"),
        ({"rate": "0", "overhead": "4B"}, "overhead-without-rate", "no rate"),
        ({"queue": "10B"}, "queue-too-small", "10 B"),
        ({"blackhole": "yes"}, "wrong-type", "true or false"),
        ({"loss": "[1"}, "invalid-topology", "change:1:"),
        ({"loss": "{a: 1, a: 2}"}, "bad-value", "given twice"),
    ],
)
def test_wrong_values_are_errors_with_code_and_reason(asked, code, words):
    with pytest.raises(UsageError) as raised:
        describe(**asked)
    assert raised.value.code == code
    assert words in str(raised.value)


def test_a_link_that_is_not_in_the_plan_is_a_clear_one_with_the_seed_it_would_have():
    link = changes.locate(PLAN, "b", "a")
    assert link.impairments.is_clear
    assert link.seed != changes.locate(PLAN, "a", "b").seed


@pytest.mark.parametrize(
    ("ends", "code"),
    [(("a", "c"), "unknown-node"), (("a", "a"), "not-linked"), (("a", "b", "wan"), "not-linked")],
)
def test_links_that_cannot_be(ends, code):
    with pytest.raises(UsageError) as raised:
        changes.locate(PLAN, *ends)
    assert raised.value.code == code


def test_nodes_several_hops_apart_have_no_link():
    text = "name: x\nnodes: {a: , r: {router: true}, b: }\nlinks: [{wire: [a, r]}, {wire: [r, b]}]\n"
    with pytest.raises(UsageError, match="a and b share no network: they are 2 hops apart, over r"):
        changes.locate(resolve(loads(text, "x.yml")), "a", "b")
