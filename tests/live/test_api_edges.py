"""The Python API on a lab that is up: arguments of other types than its own work, or are usage errors with the fix."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.errors import UsageError
from testbed.lab import Lab
from testbed.topology import loads
from tests.conftest import unused_name

pytestmark = [pytest.mark.live, pytest.mark.netns]

TOPOLOGY = "{name: edges, nodes: {a: , b: }, links: [{from: a, to: b, delay: 10ms, loss: 2%, rate: 10mbit}]}"


@pytest.fixture(scope="module")
def lab():
    with (
        unused_name() as name,
        Lab.up(loads(TOPOLOGY, "edges.yml"), name=name, runtime="netns", engine="userspace") as up,
    ):
        yield up


def test_values_of_python_change_a_link(lab):
    link = lab.link("a", "b")
    for change, words in (
        ({"blackhole": True}, "loss 100 %"),
        ({"blackhole": False}, "loss 2 %"),
        ({"drop": [3, 17]}, "drop no. 3, 17 of all"),
        ({"jitter": {"spread": "4ms"}}, "jitter 4 ms"),
        ({"loss": 0}, "drop no. 3"),
    ):
        assert words in link.update(**change).describe()
        assert words in link.impairments.describe()
    assert "loss" not in link.impairments.describe()


def test_commands_are_words_or_text(lab):
    for command in ("echo a 5", ["echo", "a", 5], ("echo", "a", "5")):
        assert lab["a"].run(command).stdout == "a 5\n"
    assert lab["a"].run("cat", stdin="text").stdout == "text"


def test_a_lab_names_its_nodes(lab):
    assert list(lab) == ["a", "b"]
    assert "a" in lab
    assert "nope" not in lab


UP: Any = Lab.up
"""Without its types, which forbid what is tried here."""


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda lab: lab["nope"], "unknown-node"),
        (lambda lab: lab[5], "unknown-node"),
        (lambda lab: lab.link("a", "nope"), "unknown-node"),
        (lambda lab: lab.link("a", None), "unknown-node"),
        (lambda lab: lab.link("a", "b", 5), "not-linked"),
        (lambda lab: lab.link("a", "b").update(loss=10), "bad-value"),
        (lambda lab: lab.link("a", "b").update(blackhole=1), "wrong-type"),
        (lambda lab: lab.link("a", "b").update(drop={3}), "bad-value"),
        (lambda lab: lab["a"].run(None), "bad-command"),
        (lambda lab: lab["a"].run(["true"], stdin=5), "bad-argument"),
        (lambda lab: lab["a"].run(["true"], timeout="5"), "bad-argument"),
        (lambda lab: lab.program("nope", ["true"]), "unknown-node"),
        (lambda lab: lab.program("a", 5.5j), "bad-command"),
        (lambda lab: lab.sockets(["a"]), "unknown-node"),
        (lambda lab: lab.run_workload(5), "unknown-workload"),
        (lambda lab: lab.run(5), "bad-argument"),
        (lambda lab: lab.run(only=5), "bad-argument"),
        (lambda lab: lab.run(capture=[5]), "bad-argument"),
        (lambda lab: lab.capture("a", None), "bad-argument"),
        (lambda lab: lab.capture("a", "x.pcap", snap_bytes="96B"), "bad-argument"),
        (lambda _: UP(loads(TOPOLOGY, "x"), runtime="podman"), "bad-argument"),
        (lambda _: UP(loads(TOPOLOGY, "x"), engine=5), "bad-argument"),
        (lambda _: UP(loads(TOPOLOGY, "x"), seed="5"), "bad-argument"),
        (lambda _: UP(loads(TOPOLOGY, "x"), name=5), "bad-name"),
    ],
)
def test_what_cannot_be_is_a_usage_error_with_a_hint(lab, call, code):
    with pytest.raises(UsageError) as raised:
        call(lab)
    assert raised.value.code == code
    assert raised.value.hint
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
