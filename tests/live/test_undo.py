"""Links between containers that are not the testbed's go without a trace, however the agent ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.agent import messages
from testbed.errors import LabError
from testbed.faults import Kill, Pause, Start, Stop, Throttle, Unpause
from testbed.runtime import local_agent
from testbed.runtime.state import LabDirectory
from tests.conftest import ROOT
from tests.live.command_line import eventually, run, running
from tests.live.docker_agents import agent_as
from tests.live.others import adopt, impair_both, said, snapshot, start_agent, system

pytestmark = [
    pytest.mark.live,
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a local process as the agent of containers"),
]

ROUND_TRIP_MS = 80
WAYS = [
    *(("userspace", how) for how in ("terminated", "killed", "killed without its guardian", "a worker killed first")),
    pytest.param("netem", "killed", marks=pytest.mark.netem),
]


@pytest.fixture(scope="module")
def shop():
    """Two containers of somebody's, which know each other's MAC already; `changes` says what is not as it was."""
    with system(f"undo-{os.getpid()}", "198.19.240.0/24", "a", "b") as made:
        assert made.pings("a", "b")
        assert made.pings("b", "a")
        before = snapshot(made, "a", "b")
        made.changes = lambda: sorted({*snapshot(made, "a", "b")} ^ {*before})
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


def says_that_all_is_put_back(lab):
    """Whether `ps` does."""
    return re.search(rf"^{lab} .*its agent was killed; .* as they were before", run("ps").stdout, re.MULTILINE)


def paused(shop, name):
    """Whether the Docker Engine has paused a container."""
    return said("docker", "inspect", "--format", "{{.State.Paused}}", shop.container(name)).strip() == "true"


def kill(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def ends(how, agent, lab):
    """End the agent of a lab in one of the ways that there are."""
    pid = agent.hello().pid
    guardian = [each for each in agent_and_guardian(lab) if each != pid]
    assert len(guardian) == 1
    match how:
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


@pytest.mark.parametrize(("engine", "how"), WAYS)
def test_everything_is_as_it_was_however_the_agent_ends(lab_name, shop, engine, how):
    with lab_between(lab_name, shop, engine) as agent:
        assert min(shop.pings("a", "b")) >= ROUND_TRIP_MS
        assert "clsact" in said("tc", "qdisc", "show", "dev", shop.port("a"))
        if engine == "netem":
            assert "tcp-segmentation-offload: off" in shop.inside("a", "ethtool", "-k", "eth0")
        agent.call(messages.BringAbout(faults=(Pause(node="a"), Pause(node="b"))))
        agent.call(messages.BringAbout(faults=(Unpause(node="a"),)))
        assert [paused(shop, each) for each in ("a", "b")] == [False, True]
        ends(how, agent, lab_name)
        assert eventually(lambda: not paused(shop, "b"))
        assert min(shop.pings("a", "b")) < ROUND_TRIP_MS / 2
        if how == "killed":
            assert says_that_all_is_put_back(lab_name)
    assert shop.changes() == []


def state_and_limits(made, name):
    """Whether a container runs, and the CPU time that it gets: by the Docker Engine, and by its cgroup."""
    found = made.inspect(name)
    limits = [found["HostConfig"][each] for each in ("NanoCpus", "CpuPeriod", "CpuQuota")]
    if not found["State"]["Running"]:
        return False, limits, []
    group = Path(f"/proc/{found['State']['Pid']}/root/sys/fs/cgroup")
    files = [group / name for name in ("cpu.max", "cpu/cpu.cfs_period_us", "cpu/cpu.cfs_quota_us")]
    return True, limits, [file.read_text() for file in files if file.exists()]


@pytest.mark.parametrize("how", ["terminated", "killed", "killed without its guardian"])
def test_containers_of_others_run_as_before_however_the_agent_ends(lab_name, how):
    limits = {"a": (), "b": ("--cpus", "1.5"), "c": ("--cpu-period", "50000", "--cpu-quota", "40000")}
    with system(f"undo-{lab_name}", "198.19.241.0/24") as made:
        for name, options in limits.items():
            made.start(name, *options)
        before = {name: state_and_limits(made, name) for name in limits}
        agent = start_agent(lab_name)
        try:
            adopt(agent, made, *limits)
            impair_both(agent, made, "b", "c", engine="userspace")
            throttled = [Throttle(node=name, cpus_milli=100) for name in ("b", "c")]
            agent.call(messages.BringAbout(faults=(*throttled, Kill(node="a"), Stop(node="b"))))
            agent.call(messages.BringAbout(faults=(Start(node="b"), Pause(node="c"))))
            assert [state_and_limits(made, name)[0] for name in "ab"] == [False, True]
            assert all(state_and_limits(made, name)[1] != before[name][1] for name in "bc")
            ends(how, agent, lab_name)
            assert eventually(lambda: not paused(made, "c") and state_and_limits(made, "a")[0])
            assert eventually(lambda: {name: state_and_limits(made, name) for name in limits} == before)
        finally:
            local_agent.stop("docker", lab_name)
            local_agent.sweep("docker", lab_name)
            LabDirectory("docker", lab_name).remove()


def test_everything_is_as_it_was_when_the_command_ends_before_the_lab_is_up(lab_name, shop):
    """As by Ctrl-C, a failure or kill -9 of `up`: the agent's standard input ends."""
    code = (
        "import os, sys; from tests.live import others; shop = others.System.__new__(others.System);"
        "shop.name, shop.network = sys.argv[2:]; agent = others.start_agent(sys.argv[1]);"
        "others.adopt(agent, shop, 'a', 'b'); others.impair(agent, shop, 'a', 'b');"
        "print(shop.pings('a', 'b'), flush=True); os.kill(os.getpid(), 9)"
    )
    argv = [sys.executable, "-c", code, lab_name, shop.name, shop.network]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert min(json.loads(done.stdout)) >= ROUND_TRIP_MS
    assert eventually(lambda: not agent_and_guardian(lab_name))
    assert shop.changes() == []
    LabDirectory("docker", lab_name).remove()


def test_hooks_and_filters_of_somebody_else_stay(lab_name, shop):
    port = shop.port("a")
    said("tc", "qdisc", "add", "dev", port, "clsact")
    try:
        said("tc", "filter", "add", "dev", port, "ingress", "u32", "match", "u32", "0", "0", "classid", "1:1")
        before = snapshot(shop, "a", "b")
        with lab_between(lab_name, shop, "userspace") as agent:
            assert min(shop.pings("b", "a")) >= ROUND_TRIP_MS
            ends("killed", agent, lab_name)
        assert sorted({*snapshot(shop, "a", "b")} ^ {*before}) == []
        said("tc", "filter", "add", "dev", port, "egress", "u32", "match", "u32", "0", "0", "classid", "1:1")
        before = snapshot(shop, "a", "b")
        with pytest.raises(LabError, match=f"{port}, the port of a on net, has filters of somebody else") as caught:  # noqa: SIM117
            with lab_between(lab_name, shop, "userspace"):
                pass
        assert caught.value.code == "port-in-use"
        assert sorted({*snapshot(shop, "a", "b")} ^ {*before}) == []
    finally:
        said("tc", "qdisc", "del", "dev", port, "clsact")
        said("ip", "link", "set", "dev", port, "txqueuelen", "0")  # as before the qdisc


@pytest.mark.parametrize("killed", [["agent"], ["guardian", "agent"]], ids=" and ".join)
def test_everything_is_as_it_was_when_the_agents_container_is_killed(lab_name, shop, killed):
    """The Docker Engine kills all processes of a container, so the guardian is in another one."""
    nodes = [shop.container(each) for each in ("a", "b")]
    link = ["--link", ",".join(nodes), "delay=40ms"]
    with agent_as("container"):
        attached = run("attach", *nodes, *link, "--name", lab_name, "--no-check", lab=lab_name)
        try:
            assert attached.returncode == 0, attached.stderr
            assert min(shop.pings("a", "b")) >= ROUND_TRIP_MS
            assert run("fault", lab_name, shop.container("b"), "pause").returncode == 0
            assert paused(shop, "b")
            said("docker", "kill", *(f"testbed-{lab_name}.{each}" for each in killed))
            if killed == ["agent"]:
                assert eventually(lambda: not shop.changes())
                assert says_that_all_is_put_back(lab_name)
                assert eventually(lambda: not paused(shop, "b"))
        finally:
            detached = run("detach", lab_name)
    assert detached.returncode == 0, detached.stderr
    assert not paused(shop, "b")
    assert shop.changes() == []
