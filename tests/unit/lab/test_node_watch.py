"""Nodes while something is measured: against a runtime that says what a test wants."""

from __future__ import annotations

import time

import pytest

from testbed.errors import LabError
from testbed.lab import node_watch
from testbed.runtime.failures import exited, paused


class Nodes:
    """The part of a runtime that is asked whether nodes run."""

    def __init__(self):
        self.failure = None
        self.pauses = 0

    def moment(self, _lab):
        return str(self.pauses)

    def require_running(self, _lab, *, since="", may_fail=()):
        if self.failure and "a" in may_fail:
            return {"a": "status 3"}
        if self.failure:
            raise self.failure
        if since and self.pauses > int(since):
            raise paused("a", now=False, remedy="")
        return {}


@pytest.fixture
def runtime():
    return Nodes()


def watching(runtime, work=lambda _watch: None):
    with node_watch.NodeWatch(runtime, "lab") as watch:
        work(watch)


def test_nothing_is_measured_with_a_node_that_does_not_run(runtime):
    runtime.failure = exited("a", 3, "boom\n")
    with pytest.raises(LabError, match=r"node a: its program ended with status 3; its last lines:\n +boom"):
        watching(runtime, lambda _: pytest.fail("it is measured"))


def test_a_node_that_ends_meanwhile_is_seen_while_it_goes_on(runtime):
    def go_on(watch):
        watch.follow()
        runtime.failure = exited("a", 3, "")
        while True:
            time.sleep(0.01)
            watch.follow()

    with pytest.raises(LabError, match="node a"):
        watching(runtime, go_on)


@pytest.mark.parametrize(
    ("error", "said"),
    [(LabError("no-answer", "nobody answered"), "no-answer: nobody answered"), (AssertionError(), "AssertionError()")],
)
def test_the_error_of_a_node_that_ended_replaces_the_error_that_it_caused(runtime, error, said):
    def fail(_watch):
        runtime.failure = exited("a", 3, "")
        raise error

    with pytest.raises(LabError, match="node-exited") as raised:
        watching(runtime, fail)
    assert raised.value.__notes__ == [f"as a consequence: {said}"]


def test_a_node_that_may_fail_ends_without_an_error_but_must_run_at_first(runtime):
    with node_watch.NodeWatch(runtime, "lab", {"a"}) as watch:
        assert watch.failures() == ()
        runtime.failure = exited("a", 3, "")
        assert watch.failures() == ("node a ended (status 3), which its may_fail allows",)
    with pytest.raises(LabError, match="node-exited"), node_watch.NodeWatch(runtime, "lab", {"a"}):
        pytest.fail("it is measured")


@pytest.mark.parametrize("error", [LabError("no-answer", "nobody answered"), KeyboardInterrupt()])
def test_an_unrelated_error_is_not_replaced(runtime, error):
    def fail(_watch):
        if isinstance(error, KeyboardInterrupt):
            runtime.failure = exited("a", 3, "")
        raise error

    with pytest.raises(type(error)) as raised:
        watching(runtime, fail)
    assert raised.value is error


def test_a_pause_that_is_over_is_found_at_the_end(runtime):
    runtime.pauses = 1
    watching(runtime)
    with pytest.raises(LabError, match="node-paused: node a was paused during the measurement"):
        watching(runtime, lambda _: setattr(runtime, "pauses", 2))


def test_only_the_end_of_a_long_log_is_kept(monkeypatch):
    monkeypatch.setattr(node_watch, "_LOG_BYTES", 100)
    lines = [f"line {number}\n".encode() for number in range(1000)]
    kept = node_watch._end(lines)
    assert 80 < len(kept) <= 100
    assert b"".join(lines).endswith(b"\n" + kept)
    assert node_watch._end(lines[:3]) == b"".join(lines[:3])
