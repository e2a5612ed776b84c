import yaml
from hypothesis import given
from hypothesis import strategies as st

from testbed.expectations import ExpectationError, evaluate, parse
from testbed.expectations.model import COMPARISONS
from testbed.metrics import METRICS
from testbed.plan import Plan, resolve
from testbed.topology import TopologyError, loads
from testbed.workloads.summary import Summary

KINDS = {"a": "tcp-stream", "b-2": "udp-stream", "5": "tcp-rr", "d": "udp-rr", "e": "ping", "f": None}
UNITS = {
    "ns": ["ns", "us", "ms", "s", "min"],
    "bit/s": ["bit", "kbit", "mbit/s", "Gbit"],
    "bytes": ["B", "KB", "MiB"],
    "ratio": ["%"],
    "count": [""],
}
FIGURES = [
    (f"{workload}.{metric.label}", metric.unit if metric.unit in UNITS else "count")
    for workload, kind in KINDS.items()
    for metric in METRICS.values()
    if metric.unit != "name" and (kind is None or kind in metric.kinds)
]
NUMBERS = st.decimals(0, 10**9, places=3).map("{:f}".format) | st.integers(0, 10**9).map(str)
SPACES = st.sampled_from([" ", "  ", "\t"])
PIECES = st.sampled_from(
    [*(figure for figure, _ in FIGURES), *COMPARISONS, *"+-*().%=/", " ", "5", "1.5", "ms", "mbit", "and", "a.", ".b"]
)
FILE = "name: x\nnodes: {s: , t: }\nworkloads: [{name: voice, kind: udp-stream, from: s, to: t}]\n"


@st.composite
def expectations(draw):
    """The text of an expectation."""
    first, unit = draw(st.sampled_from(FIGURES))
    alike = st.sampled_from([figure for figure, other in FIGURES if other == unit])
    amount = st.tuples(NUMBERS, st.sampled_from(["", " "]), st.sampled_from(UNITS[unit])).map("".join)
    part = alike | amount | st.tuples(NUMBERS, st.just(" * "), alike).map("".join) | st.just("0")
    others = st.lists(st.tuples(st.sampled_from([" + ", " - "]), part).map("".join), max_size=3).map("".join)
    comparison = draw(st.sampled_from(list(COMPARISONS)))
    return f"{first}{draw(others)}{draw(SPACES)}{comparison}{draw(SPACES)}{draw(part)}{draw(others)}"


@given(expectations())
def test_what_is_printed_reads_as_the_same(text):
    read = parse(text, KINDS)
    assert parse(str(read), KINDS) == read


@given(
    expectations(),
    st.dictionaries(
        st.sampled_from([name for name, one in METRICS.items() if one.unit != "name"]),
        st.none() | st.floats(0, 1e15) | st.integers(),
    ),
)
def test_every_expectation_can_be_held_against_anything(text, values):
    measured = {
        name: Summary(workload=name, kind=kind or "", values=values, missing=dict.fromkeys(values, "made up"))
        for name, kind in KINDS.items()
    }
    outcome = evaluate(parse(text, KINDS), measured)
    assert (outcome.reason is None) == (outcome.found is not None and outcome.wanted is not None)
    assert not (outcome.passed and outcome.reason)


@given(st.text() | st.lists(PIECES, max_size=12).map("".join))
def test_any_text_is_an_expectation_or_told_with_its_place(text):
    try:
        read = parse(text, KINDS)
    except ExpectationError as error:
        told = error
    else:
        assert read.left.metrics
        return
    assert 0 <= told.at <= len(text)
    assert told.said
    assert told.code


@given(st.text() | st.lists(PIECES, max_size=12).map("".join) | st.integers() | st.floats() | st.none() | st.booleans())
def test_in_a_file_too(value):
    try:
        made = resolve(loads(FILE + yaml.safe_dump({"expect": [value]}, allow_unicode=True), "file.yml"))
    except TopologyError as error:
        told = error
    else:
        assert Plan.from_json(made.to_json()) == made
        return
    assert all(problem.line >= FILE.count("\n") + 1 for problem in told.problems)
