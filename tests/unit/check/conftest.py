"""A lab whose nodes are all this machine: real endpoints, over loopback, which nobody impairs."""

import json
import subprocess
import sys
import time

import pytest

from testbed.impairments import Impairments
from testbed.plan.model import Link, Plan
from testbed.plan.nodes import Interface, Network
from tests.samples import bare_node


class Local:
    def __init__(self, spec):
        program = [sys.executable, "-m", "testbed.endpoint", spec.to_json()]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __iter__(self):
        assert self.process.stdout is not None
        return iter(self.process.stdout)

    def begin(self, start_ns):
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"start_ns": start_ns}) + "\n")
        self.process.stdin.flush()

    def close_stdin(self):
        assert self.process.stdin is not None
        self.process.stdin.close()

    def kill(self):
        self.process.kill()

    def wait(self):
        return self.process.wait()


class Here:
    def __init__(self):
        self.started = []
        self.seeds = []

    def now_ns(self):
        return time.monotonic_ns()

    def endpoint(self, _node, spec):
        self.started.append(Local(spec))
        self.seeds.append(spec.seed)
        return self.started[-1]


@pytest.fixture
def here():
    nodes = Here()
    yield nodes
    for local in nodes.started:
        assert local.process.wait(60) is not None
        for stream in (local.process.stdin, local.process.stdout):
            stream.close()


def node(name, address):
    at = Interface(network="wan", name="eth0", address=address, prefix_length=8, mac="02:42:7f:00:00:01")
    return bare_node(name, at)


def link(source, destination, **impairments):
    return Link(
        source=source,
        destination=destination,
        network="wan",
        impairments=Impairments(**impairments),
        seed=7,
        engine="auto",
        profile=None,
    )


@pytest.fixture
def make_plan():
    def make(*links, address="127.0.0.1"):
        return Plan(
            lab="check",
            topology="check",
            description="",
            seed=1,
            runtime="netns",
            networks=(
                Network(
                    name="wan", subnet="127.0.0.0/8", gateway="127.0.0.1", allocated=False, internal=True, mtu=1500
                ),
            ),
            nodes=(node("client", "127.0.0.1"), node("server", address)),
            links=tuple(link(source, destination, **impairments) for source, destination, impairments in links),
            stages=(),
        )

    return make
