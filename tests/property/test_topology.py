"""Whatever a file holds, it is a topology or a `TopologyError` that says where it is wrong."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from testbed.topology import Topology, TopologyError, loads

SHIPPED = [path.read_text() for path in sorted((Path(__file__).parents[2] / "topologies").glob("*.yml"))]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["client", "server", "lan", "wan", "ping", "tcp-stream", "40ms", "2%", "20mbit", "1bdp", "lte"]),
    st.sampled_from(["60%", "100%", "syn", "data", "normal", "codel", "free", "fix", "traces/train.csv", "64KB"]),
)
KEYS = st.sampled_from(
    re.findall(
        r"\w+",
        """name description seed runtime engine networks nodes links workloads subnet mtu internal address image command
        environment cpus memory sysctls ready tcp timeout between from to network profile delay jitter loss rate queue
        kind together duration bytes size reply count connect congestion interval client server lan wan
        spread distribution table correlation order burst to_bad to_good good bad p13 p31 p32 p23 p14 drop first packets
        numbers every blackhole corrupt checksum duplicate reorder gap late trace overhead limit discipline target
        ecn""",
    )
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=6),
    max_leaves=30,
)


def loads_or_tells(text):
    try:
        topology = loads(text, "file.yml")
    except TopologyError as error:
        told = error
    else:
        assert isinstance(topology, Topology)
        return
    assert told.problems
    assert str(told).encode()
    for problem in told.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.code
        assert str(problem) in str(told)


@given(st.one_of(st.text(), st.binary()))
def test_anything(text):
    loads_or_tells(text)


@given(st.text(alphabet="ab:-[]{}?&*!|>'\"#%@`,\n \t\\x0U~<=.1eo"))
def test_anything_that_looks_like_yaml(text):
    loads_or_tells(text)


@given(DATA)
def test_any_data(data):
    loads_or_tells(yaml.safe_dump(data, allow_unicode=True))


@given(
    st.fixed_dictionaries(
        {"name": st.just("x"), "nodes": DATA},
        optional={"networks": DATA, "links": st.lists(DATA), "workloads": st.lists(DATA)},
    )
)
def test_any_data_at_the_usual_keys(data):
    loads_or_tells(yaml.safe_dump(data, sort_keys=False))


@given(st.sampled_from(SHIPPED), st.data())
def test_a_shipped_file_with_a_piece_replaced(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    loads_or_tells(text[:start] + data.draw(st.text(max_size=10)) + text[end:])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "name: a\0b",
        b"\xff\xfe",
        b"name: \xc3\x28",
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000,
        "? " * 5_000,
        "a: &a [*a]",
        "&a a: *a\n*a : 1",
        "a: &a [x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{f'*{a}, ' * 8}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        '"\\UFFFFFFFF": 1',
        '"\\ud800": "\\udfff"',
        "%YAML 1." + "9" * 5000 + "\n---\na: 1",
        "--- a\n--- b",
        "9" * 10_000,
        "name: " + "9" * 10_000,
        "x" * 1_000_000,
        "!!python/object/apply:os.system [true]",
        "- a\n- b",
        "just text",
        "<<: {name: a}",
        "nodes: {? [a, b] : c, ? {d: e} : f, null: g, 1: h}",
    ],
)
def test_hostile(text):
    with pytest.raises(TopologyError):
        loads(text, "file.yml")
