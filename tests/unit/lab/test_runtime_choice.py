"""Which runtime `auto` takes, and what it says of that."""

import pytest

from testbed import runtime as runtimes
from testbed.errors import MachineError
from testbed.lab import bringup
from testbed.lab.observer import Observer
from testbed.plan import resolve
from testbed.runtime import Availability
from testbed.runtime.netns import NetnsRuntime
from testbed.topology import loads


class Containers:
    """Stands for a Docker Engine that answers, or does not."""

    name = "docker"
    description = "an engine"

    def __init__(self, reason):
        self.reason = reason

    def probe(self):
        return Availability(usable=not self.reason, description=self.description, reason=self.reason, hint="mend it")

    def require(self, plan):
        pass


class Noting(Observer):
    def __init__(self):
        self.said = []

    def chosen(self, what, value, why):
        self.said.append((value, why) if what == "runtime" else (what, value))


@pytest.fixture
def choose(monkeypatch):
    def chosen(node, *, reason=""):
        monkeypatch.setattr(runtimes, "load", lambda name: Containers(reason) if name == "docker" else NetnsRuntime())
        noting = Noting()
        plan = resolve(loads(f"name: x\nnodes: {{a: {{{node}}}}}", "x.yml"))
        return bringup.choose_runtime(plan, noting).name, noting.said[0][1]

    return chosen


def test_docker_is_taken_where_it_answers(choose):
    assert choose("") == ("docker", "it answers")


def test_it_is_said_why_only_docker_will_do(choose):
    assert choose("labels: {a: b}") == (
        "docker",
        "it answers; netns: node a asks for labels, and labels need containers",
    )


def test_namespaces_are_taken_where_docker_does_not_answer(choose):
    assert choose("user: root", reason="no engine") == ("netns", "docker: no engine")


def test_what_needs_containers_is_no_good_without_docker(choose):
    with pytest.raises(MachineError) as caught:
        choose("labels: {a: b}", reason="no engine")
    assert caught.value.exit_code == 3
    assert caught.value.message == "docker: no engine; netns: node a asks for labels, and labels need containers"
    assert caught.value.hint == "mend it"
