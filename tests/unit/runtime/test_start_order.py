"""The order in which nodes start, and what is said meanwhile."""

import threading

import pytest

from testbed.errors import LabError
from testbed.plan import resolve
from testbed.runtime.start_order import start_in_order
from testbed.topology import loads


class Settling:
    """Stands for the waiting, of which the test decides when it ends."""

    def __init__(self):
        self.stopping = threading.Event()
        self.done = {}
        self.failure = None

    def settle(self, node):
        while not self.stopping.wait(0.005):
            if self.failure:
                raise self.failure
            if self.done.setdefault(node.name, threading.Event()).is_set():
                return


def nothing(settling, text):
    pass


def started(nodes, *, each=nothing):
    """The nodes in the groups that were started together, and what was said."""
    plan = resolve(loads(f"name: x\nnodes: {{{nodes}}}", "x.yml"))
    settling, groups, said = Settling(), [], []

    def start(able):
        groups.append([node.name for node in able])
        return settling

    def progress(text):
        said.append(text)
        each(settling, text)

    start_in_order(plan, start, progress)
    return groups, said


def all_ready(settling, _):
    for name in "abcd":
        settling.done.setdefault(name, threading.Event()).set()


def test_all_start_at_once_without_dependencies():
    assert started("a: , b: , c: ") == ([["a", "b", "c"]], [])


def test_a_node_starts_once_those_before_it_are_ready():
    ready = "ready: {tcp: 80}"
    groups, said = started(f"a: {{depends_on: [b, c]}}, b: {{{ready}}}, c: , d: {{depends_on: [c]}}", each=all_ready)
    assert groups == [["b", "c"], ["d"], ["a"]]
    assert said[0] == "waiting for b (TCP port 80 accepts a connection), before a starts"


def test_a_node_may_start_once_another_has_started():
    condition = "{b: {condition: service_started}}"
    groups, said = started(f"a: {{depends_on: {condition}}}, b: {{ready: {{log: up}}}}", each=all_ready)
    assert groups == [["b"], ["a"]]
    assert said[0] == "waiting for b (a line of its log matches up)"


def test_setup_is_waited_for():
    groups, said = started("a: {setup: [true-ish]}, b: {depends_on: [a]}", each=all_ready)
    assert groups == [["a"], ["b"]]
    assert said[0] == "waiting for a (setup), before b starts"


def test_a_failure_ends_all_waiting():
    def fail(settling, _):
        settling.failure = LabError("not-ready", "b")

    with pytest.raises(LabError, match="not-ready"):
        started("a: {ready: {tcp: 1}}, b: {ready: {tcp: 1}}, c: {depends_on: [a]}", each=fail)
