"""The runtimes and engines that the contract suite covers, and labs of them."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from testbed.lab import Lab, find, take_down
from testbed.topology import loads
from tests import pings
from tests.conftest import unused_name


def backends(engine, *marks, runtimes=("docker", "netns")):
    return [
        pytest.param((runtime, engine), marks=[getattr(pytest.mark, runtime), *marks], id=f"{runtime}-{engine}")
        for runtime in runtimes
    ]


USERSPACE = backends("userspace")
BACKENDS = [*USERSPACE, *backends("netem", pytest.mark.netem)]
NETEM_ONCE = [*USERSPACE, *backends("netem", pytest.mark.netem, runtimes=("netns",))]
"""For long suites: the guest, whose kernel has netem, is slow with containers."""


@contextmanager
def shared_lab(text, backend):
    """A lab for all tests of a module, which leave it as it was."""
    runtime, engine = backend
    with unused_name() as name:
        with Lab.up(loads(text, "test.yml"), name=name, runtime=runtime, engine=engine) as lab:
            yield lab
        assert find(name) is None


@contextmanager
def own_lab(text, name, backend):
    """A lab for one test, whatever that makes of it."""
    runtime, engine = backend
    try:
        yield Lab.up(loads(text, "test.yml"), name=name, runtime=runtime, engine=engine)
    finally:
        take_down(name)


def quickest(node, target, count=20):
    """The least round-trip time in ms, by ping: what a busy machine adds comes on top of it. No packet is lost."""
    done = node.run(pings.until_answered(target, count=count))
    return min(pings.complete(done.stdout + done.stderr, count))


def assert_quickest(node, target, least_ms, most_ms):
    """Assert bounds of the least round-trip time. Lateness makes times longer only: it is measured again."""
    assert least_ms <= pings.least(lambda: quickest(node, target), most_ms) <= most_ms
