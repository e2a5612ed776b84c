"""Which CPUs nodes use and how many processes they have, as their programs and the kernel see them."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from testbed.errors import LabError, MachineError
from testbed.lab import Lab
from testbed.linux import cgroups
from testbed.topology import loads
from tests import directories
from tests.conftest import agent_process, remains, unused_name
from tests.live.command_line import eventually
from tests.runtimes import RUNTIMES

CPU = max(os.sched_getaffinity(0))
CPU_SET = frozenset([CPU])
MOST = 40

TEXT = f"""
name: limits
nodes:
  few: {{count: 2, cpuset: "{CPU}", pids_limit: {MOST}, command: [sh, -c, "grep Cpus_allowed_list /proc/self/status;
    exec sleep 1000"]}}
  other:
workloads: [{{name: w, kind: udp-stream, from: other, to: few-1, rate: 1mbit, size: 160B, duration: 3s}}]
"""

FORKS = """
import errno, os, time
ended = ""
children = []
while len(children) < 300 and not ended:
    try:
        children.append(os.fork())
    except OSError as error:
        ended = errno.errorcode[error.errno]
    else:
        if not children[-1]:
            time.sleep(1000)
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
print(len(children), ended)
"""

pytestmark = pytest.mark.live


@pytest.fixture(scope="module", params=RUNTIMES)
def lab(request):
    if request.param == "netns":
        require_groups("cpuset", "pids")
    with unused_name() as name:
        with Lab.up(loads(TEXT, "limits.yml"), name=name, runtime=request.param) as one:
            yield one
        assert groups(name) == []


def require_groups(*controllers):
    """Skip where this machine has no cgroups to limit nodes of namespaces by, or this user may make none."""
    try:
        for controller in controllers:
            cgroups.place(controller)
    except MachineError as error:
        pytest.skip(error.message)


def groups(name):
    return [each for each in directories.below("/sys/fs/cgroup") if each.name.startswith(f"testbed-{name}-")]


def allowed(lab, node):
    return lab[node].run(["grep", "Cpus_allowed_list", "/proc/self/status"]).stdout.split()[1:]


def forked(lab, node):
    """How many processes a program could start beside itself, and the error that ended it."""
    number, *error = lab[node].run(["python3", "-c", FORKS]).stdout.split()
    return int(number), error


def require_limits(lab):
    for node in ("few-1", "few-2"):
        assert allowed(lab, node) == [f"{CPU}"]
        number, error = forked(lab, node)
        assert error == ["EAGAIN"]
        assert MOST - 10 < number < MOST  # beside itself, the node's own command, and what the runtime has there


def test_a_node_keeps_to_its_cpus_and_its_number_of_processes(lab):
    require_limits(lab)
    assert forked(lab, "other") == (300, [])
    assert allowed(lab, "other") != [f"{CPU}"] or len(os.sched_getaffinity(0)) == 1


def test_limits_stay_when_a_node_restarts_and_when_faults_are_healed(lab):
    lab.bring_about("few", "restart", value=True)
    lab.bring_about("few", "cpus", 0.5, "1ms")
    require_limits(lab)
    assert lab["few-1"].logs().split() == ["Cpus_allowed_list:", f"{CPU}"] * 2  # its own command, each time


def test_an_endpoint_in_a_node_keeps_to_its_cpus(lab, tmp_path):
    namespace = lab["few-1"].run(["readlink", "/proc/self/ns/net"]).stdout.strip()
    with ThreadPoolExecutor(1) as background:
        running = background.submit(lab.run, tmp_path, check=False)
        seen = eventually(lambda: list(endpoints(namespace)) or running.done())
        running.result()
    assert seen == [CPU_SET]


def endpoints(namespace):
    """The CPUs of each endpoint that the agent runs in a network namespace."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if b"testbed.endpoint" in argv and str((process / "ns/net").readlink()) == namespace:
                yield frozenset(os.sched_getaffinity(int(process.name)))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_cpus_that_the_machine_has_not_are_an_error(runtime, lab_name):
    if runtime == "netns":
        require_groups("cpuset")
    text = "name: x\nnodes: {a: {cpuset: '0,8000-8001'}}"
    with pytest.raises(MachineError, match=r"too-few-cpus: .*(CPU 8000-8001, and|requested 0,8000-8001, available)"):
        Lab.up(loads(text, "x.yml"), name=lab_name, runtime=runtime)
    assert remains(lab_name) == []


@pytest.mark.netns
def test_a_killed_agent_leaves_no_group_of_limits_when_its_lab_is_down(lab_name):
    require_groups("cpuset", "pids")
    with Lab.up(loads("name: k\nnodes: {a: {cpuset: 0, pids_limit: 9}}", "k.yml"), name=lab_name, runtime="netns"):
        assert groups(lab_name)
        os.kill(agent_process(lab_name), signal.SIGKILL)
    assert groups(lab_name) == []


@pytest.mark.netns
def test_a_command_that_its_limit_lets_a_node_not_start_is_an_error_that_says_so(lab_name):
    require_groups("pids")
    text = "name: x\nnodes: {a: {pids_limit: 1, command: [sleep, '9']}}"
    with pytest.raises(LabError, match="too-many-processes: node a has as many processes as its pids_limit"):
        Lab.up(loads(text, "x.yml"), name=lab_name, runtime="netns")
    assert remains(lab_name) == groups(lab_name) == []


@pytest.mark.netns
@pytest.mark.parametrize("kernel", ["here", pytest.param("in the guest", marks=pytest.mark.netem)])
def test_a_limit_on_processes_outlasts_one_on_cpu_time(kernel, lab_name):
    """The guest has version 2 of cgroups, where both are limits of one group; it has no controller of CPUs."""
    require_groups("cpu", "pids")
    text = f"name: x\nnodes: {{a: {{pids_limit: {MOST}}}}}"
    with Lab.up(loads(text, f"{kernel}.yml"), name=lab_name, runtime="netns") as lab:
        lab.bring_about("a", "cpus", 0.5, "1ms")
        assert forked(lab, "a")[1] == ["EAGAIN"]
    assert groups(lab_name) == []
