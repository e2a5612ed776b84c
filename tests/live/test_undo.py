"""Links between containers that are not the testbed's go without a trace, however the agent ends."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import pytest

from testbed.agent import messages
from testbed.runtime import local_agent
from testbed.runtime.state import LabDirectory
from tests.live.command_line import eventually, running
from tests.live.others import adopt, impair_both, said, snapshot, start_agent, system

pytestmark = [
    pytest.mark.live,
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a local process as the agent of containers"),
]

ROUND_TRIP_MS = 80
ENGINES = ["userspace", pytest.param("netem", marks=pytest.mark.netem)]


@pytest.fixture(scope="module")
def shop():
    """Two containers of somebody's, which know each other's MAC already."""
    with system(f"undo-{os.getpid()}", "198.19.240.0/24", "a", "b") as made:
        assert made.pings("a", "b")
        assert made.pings("b", "a")
        yield made


@contextmanager
def lab_between(lab, shop, engine):
    agent = start_agent(lab)
    try:
        adopt(agent, shop, "a", "b")
        impair_both(agent, shop, "a", "b", engine=engine)
        yield agent
    finally:
        local_agent.stop("docker", lab)
        local_agent.sweep("docker", lab)
        LabDirectory("docker", lab).remove()


def agent_and_guardian(lab):
    """The pids of both, or of that of them which runs."""
    name = LabDirectory("docker", lab).agent_name
    called = said("pgrep", "--exact", name, check=False).split()
    return running("testbed.agent", [int(pid) for pid in called])  # an agent that nobody waited for has no arguments


def kill(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def ends(how, agent, lab):
    """End the agent of a lab in one of the ways that there are."""
    pid = agent.hello().pid
    guardian = [each for each in agent_and_guardian(lab) if each != pid]
    assert len(guardian) == 1
    match how:
        case "shutdown":
            agent.call(messages.Shutdown())
        case "terminated":
            os.kill(pid, signal.SIGTERM)
        case "killed":
            kill(pid)
        case "killed without its guardian":
            kill(*guardian, pid)
            local_agent.stop("docker", lab)
            local_agent.sweep("docker", lab)
        case "a worker killed first":
            children = {int(child) for child in said("pgrep", "--parent", str(pid)).split()}
            kill(*children - {*guardian})
            assert eventually(lambda: agent.hello().dead_links)
            agent.call(messages.Shutdown())
    assert eventually(lambda: not agent_and_guardian(lab))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "how", ["shutdown", "terminated", "killed", "killed without its guardian", "a worker killed first"]
)
def test_everything_is_as_it_was_however_the_agent_ends(lab_name, shop, engine, how):
    if engine == "netem" and how == "a worker killed first":
        pytest.skip("the kernel has no workers")
    before = snapshot(shop, "a", "b")
    with lab_between(lab_name, shop, engine) as agent:
        assert min(shop.pings("a", "b")) >= ROUND_TRIP_MS
        assert "clsact" in said("tc", "qdisc", "show", "dev", shop.port("a"))
        if engine == "netem":
            assert "tcp-segmentation-offload: off" in shop.inside("a", "ethtool", "-k", "eth0")
        ends(how, agent, lab_name)
        assert max(shop.pings("a", "b")) < ROUND_TRIP_MS / 2
    after = snapshot(shop, "a", "b")
    assert sorted({*after} ^ {*before}) == []
