"""Labs of containers on a real Docker Engine, with the agent as a process of ours and as a container.

An engine that is not on this machine is had by reaching ours through TCP: nobody can tell by the connection.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from testbed.agent import messages
from testbed.errors import LabError, MachineError, UsageError
from testbed.lab import Lab
from testbed.plan.model import Plan
from testbed.plan.nodes import Interface, Network, Node
from testbed.runtime import load
from testbed.services import Ready
from testbed.topology import loads
from tests import pings
from tests.conftest import remains, unused_name
from tests.live.compose_projects import free_subnets
from tests.live.docker_agents import agent_as

pytestmark = [pytest.mark.docker, pytest.mark.live]

PATIENCE_S = 60


def planned(lab, names=("client", "server"), *, networks=1, **changes):
    """A plan on free subnets; `changes` are of every node."""
    nets = tuple(
        Network(
            name=f"net{number}", subnet=str(net), gateway=str(net[1]), allocated=True, internal=True, mtu=1400 + number
        )
        for number, net in zip(range(networks), free_subnets(), strict=False)
    )
    nodes = tuple(
        Node(
            name=name,
            interfaces=tuple(interface(net, number) for net in nets),
            **{
                "image": None,
                "command": (),
                "environment": {},
                "cpus_milli": 0,
                "memory_bytes": 0,
                "sysctls": {},
                "ready": None,
                **changes,
            },
        )
        for number, name in enumerate(names, start=10)
    )
    return Plan(
        lab=lab,
        topology="planned",
        description="",
        seed=7,
        runtime="docker",
        networks=nets,
        nodes=nodes,
        links=(),
        stages=(),
    )


def interface(network, number):
    address = IPv4Network(network.subnet)[number]
    mac = "02:42:" + ":".join(f"{byte:02x}" for byte in address.packed)
    return Interface(network=network.name, name="eth0", address=str(address), prefix_length=24, mac=mac)


def eventually(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return met


def commands(runtime, lab, node="client"):
    """The command lines of all processes in a node, but for the one that looks."""
    look = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null"
    return [line.strip() for line in runtime.run(lab, node, ["sh", "-c", look]).stdout.splitlines()]


@pytest.fixture
def runtime():
    return load("docker")


@pytest.fixture
def up(runtime, lab_name):
    """Brings a plan up under the test's own name; takes it down at the end."""

    def bring_up(*args, **changes):
        plan = planned(lab_name, *args, **changes)
        runtime.up(plan, lambda _: None)
        return plan

    yield bring_up
    runtime.down(lab_name)


@pytest.fixture(scope="module", params=["process", "container"])
def standing(request):
    """A lab of two nodes on two networks that stays up for the tests that change nothing."""
    if request.param == "process" and os.geteuid() != 0:
        pytest.skip("only root can have a local process as the agent of containers")
    with unused_name() as lab, agent_as(request.param):
        runtime = load("docker")
        try:
            runtime.up(plan := planned(lab, networks=2), lambda _: None)
            yield runtime, plan
        finally:
            runtime.down(lab)


def inspected(plan, node):
    """What another program is told of a node's container."""
    host = ("CapAdd", "SecurityOpt", "RestartPolicy.Name")
    form = "{{json .Config.Labels}} " + " ".join(f"{key}={{{{.HostConfig.{key}}}}}" for key in host)
    command = ["docker", "inspect", "--format", form, f"testbed-{plan.lab}-{node}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_nodes_have_the_plans_addresses_and_names(standing):
    runtime, plan = standing
    for node in plan.nodes:
        shown = runtime.run(plan.lab, node.name, ["ip", "-o", "address"]).stdout
        links = runtime.run(plan.lab, node.name, ["ip", "-o", "link"]).stdout
        for network, here in zip(plan.networks, node.interfaces, strict=True):
            assert f"{here.address}/24" in shown
            assert any(here.mac in line and f"mtu {network.mtu} " in line for line in links.splitlines())
        assert runtime.run(plan.lab, node.name, ["hostname"]).stdout.strip() == node.name
    assert runtime.run(plan.lab, "client", ["ping", "-c1", "-W5", "server"]).status == 0
    assert runtime.run(plan.lab, "server", ["ping", "-c1", "-W5", "client"]).status == 0


def test_nodes_have_labels_and_no_privilege(standing):
    _, plan = standing
    shown = inspected(plan, "client")
    assert f'"testbed.lab":"{plan.lab}"' in shown
    assert '"testbed.node":"client"' in shown
    assert "CapAdd=[] SecurityOpt=[]" in shown
    assert shown.strip().rpartition("RestartPolicy.Name=")[2] in ("", "no")


def test_networks_are_as_planned(standing):
    _, plan = standing
    for network in plan.networks:
        form = '{{.Driver}} {{.Internal}} {{(index .IPAM.Config 0).Subnet}} {{index .Labels "testbed.network"}}'
        command = ["docker", "network", "inspect", "--format", form, f"testbed-{plan.lab}-{network.name}"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert shown.split() == ["bridge", "true", network.subnet, network.name]


def test_the_agent_runs_programs_in_a_node(standing):
    runtime, plan = standing
    with runtime.connect(plan.lab).spawn("server", ["ip", "-o", "address"]) as process:
        assert plan.node("server").interfaces[1].address in "\n".join(process)
        assert process.wait() == 0


def test_run_gives_status_and_both_streams(standing):
    runtime, plan = standing
    done = runtime.run(plan.lab, "client", ["sh", "-c", "cat; echo wrong >&2; exit 3"], stdin=b"in")
    assert (done.status, done.stdout, done.stderr) == (3, "in", "wrong\n")


def test_run_carries_much_both_ways(standing):
    runtime, plan = standing
    text = b"0123456789abcde\n" * 200_000
    done = runtime.run(plan.lab, "client", ["cat"], stdin=text)
    assert (done.status, done.stdout.encode()) == (0, text)


def test_run_without_input_is_at_its_end(standing):
    runtime, plan = standing
    assert runtime.run(plan.lab, "client", ["cat"]).stdout == ""


@pytest.mark.parametrize(("command", "said"), [("no-such-command", "not found"), ("/etc/passwd", "denied")])
def test_a_command_that_cannot_be_run(standing, command, said):
    runtime, plan = standing
    done = runtime.run(plan.lab, "client", [command])
    assert done.status in (126, 127)
    assert done.stdout == ""
    assert said in done.stderr


def test_a_command_that_says_so_itself_is_not_taken_for_one_that_could_not_be_run(standing):
    runtime, plan = standing
    said = "OCI runtime exec failed: exec failed: exec: not found\\r\\n"
    done = runtime.run(plan.lab, "client", ["sh", "-c", f"printf '{said}'; exit 126"])
    assert (done.status, done.stdout) == (126, "OCI runtime exec failed: exec failed: exec: not found\r\n")


def test_a_command_that_takes_too_long_is_killed_with_its_children(standing):
    runtime, plan = standing
    with pytest.raises(LabError, match=r"command-timeout.*killed"):
        runtime.run(plan.lab, "client", ["sh", "-c", "trap '' TERM INT; sleep 4711 & sleep 4711"], timeout=0.5)
    assert eventually(lambda: "sleep 4711" not in commands(runtime, plan.lab))


def test_unknown_node_or_lab(standing):
    runtime, plan = standing
    with pytest.raises(UsageError, match=r"unknown-node.*'sever'.*\n.*client, server"):
        runtime.run(plan.lab, "sever", ["true"])
    with pytest.raises(UsageError, match="no-such-lab"):
        runtime.run("no-such", "client", ["true"])
    with pytest.raises(UsageError, match="no-such-lab"):
        runtime.connect("no-such")
    assert runtime.down("no-such") is False


def line_from(process):
    assert process.stdout
    return process.stdout.readline()


def attaching(plan, argv, *, tty):
    program = "import sys; from testbed.runtime import load; sys.exit(load('docker').attach(*{}, tty={}))"
    return [sys.executable, "-c", program.format((plan.lab, "client", argv), tty)]


def test_attach_joins_the_streams(standing):
    _, plan = standing
    argv = ["sh", "-c", "cat; echo wrong >&2; exit 5"]
    done = subprocess.run(attaching(plan, argv, tty=False), input=b"in", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (5, b"in", b"wrong\n")


def test_attach_to_a_command_that_is_not_there(standing):
    runtime, plan = standing
    with pytest.raises(UsageError, match="command-not-found"):
        runtime.attach(plan.lab, "client", ["no-such-command"], tty=False)


def test_ctrl_c_ends_the_command_in_the_node(standing):
    runtime, plan = standing
    command = attaching(plan, ["sh", "-c", "echo here; exec sleep 4712"], tty=False)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attached:
        assert line_from(attached) == b"here\n"
        attached.send_signal(signal.SIGINT)
        assert attached.wait(PATIENCE_S) == 128 + signal.SIGINT
    assert "sleep 4712" not in commands(runtime, plan.lab)


def test_a_second_ctrl_c_ends_what_ignores_the_first(standing):
    runtime, plan = standing
    command = attaching(plan, ["sh", "-c", "trap 'echo again' INT; echo here; while :; do sleep 0.1; done"], tty=False)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attached:
        assert line_from(attached) == b"here\n"
        attached.send_signal(signal.SIGINT)
        assert line_from(attached) == b"again\n"
        attached.send_signal(signal.SIGINT)
        assert attached.wait(PATIENCE_S) == 128 + signal.SIGKILL
    assert not any("again" in line for line in commands(runtime, plan.lab))


@contextmanager
def ended(process):
    """Nobody waits for a shell that goes on because the test failed."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


def read_until(fd, text, meanwhile=lambda: None):
    found = b""
    deadline = time.monotonic() + PATIENCE_S
    while text not in found and time.monotonic() < deadline:
        meanwhile()
        if select.select([fd], [], [], 1)[0]:
            found += os.read(fd, 1 << 16)
    assert text in found, found
    return found


def drained(fd):
    """Read what is there: a terminal's settings are not restored before somebody has."""
    while select.select([fd], [], [], 0)[0]:
        os.read(fd, 1 << 16)
    return True


def test_attach_with_a_terminal(standing):
    runtime, plan = standing
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 33, 111, 0, 0))
    command = attaching(plan, ["sh", "-i"], tty=True)
    with (
        subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as attached,
        ended(attached),
    ):
        read_until(master, b"$ ")
        os.write(master, b"until stty size | grep 33.111; do sleep 0.1; done\n")  # it is told once the shell runs
        read_until(master, b"33 111")
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", 44, 122, 0, 0))
        os.write(master, b"until stty size | grep 44.122; do sleep 0.1; done\n")
        read_until(master, b"44 122", lambda: attached.send_signal(signal.SIGWINCH))  # an engine may miss one
        os.write(master, b"sleep 4713\n")
        assert eventually(lambda: "sleep 4713" in commands(runtime, plan.lab))
        os.write(master, b"\x03")
        read_until(master, b"$ ")
        os.write(master, b"exit 9\n")
        assert eventually(lambda: drained(master) and attached.poll() == 9)
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_a_lab_is_found_and_healthy_once_the_agent_holds_the_plan(standing):
    runtime, plan = standing

    def status():
        return next(each for each in runtime.labs() if each.lab == plan.lab)

    runtime.connect(plan.lab).call(messages.Remember(plan=None))
    assert (status().healthy, status().problem) == (False, "it was never brought up completely")
    runtime.connect(plan.lab).call(messages.Remember(plan=plan.to_json()))
    assert status().healthy
    assert status().nodes == {"client": "running", "server": "running"}


def test_command_environment_limits_and_sysctls(up, runtime, lab_name):
    up(
        ["client"],
        command=("sh", "-c", 'echo "$GREETING" >/tmp/greeting; sleep infinity'),
        environment={"GREETING": "good day"},
        cpus_milli=500,
        memory_bytes=64 << 20,
        sysctls={"net.ipv4.tcp_congestion_control": "reno"},
    )

    def read(*paths):
        return runtime.run(lab_name, "client", ["sh", "-c", f"cat {' '.join(paths)} 2>/dev/null"]).stdout.split("\n")[0]

    assert eventually(lambda: read("/tmp/greeting") == "good day")
    assert read("/proc/sys/net/ipv4/tcp_congestion_control") == "reno"
    assert read("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max") == str(64 << 20)
    assert read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max").split()[0] == "50000"


@pytest.mark.parametrize("kind", ["process", "container"])
def test_what_the_agent_starts_in_a_limited_node_is_limited(runtime, lab_name, kind):
    with agent_as(kind):
        try:
            runtime.up(planned(lab_name, ["client"], memory_bytes=64 << 20), lambda _: None)
            with runtime.connect(lab_name).spawn("client", ["cat", "/proc/self/cgroup"]) as process:
                cgroups = list(process)
            command = ["docker", "inspect", "--format", "{{.Id}}", f"testbed-{lab_name}-client"]
            container = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        finally:
            runtime.down(lab_name)
    limiting = [line for line in cgroups if ":memory:" in line] or cgroups
    assert limiting
    assert all(container in line for line in limiting)


def test_ready_waits_for_the_port(up, runtime, lab_name):
    serve = ("sh", "-c", "sleep 0.7; exec python3 -m http.server 8080")
    up(["server"], command=serve, ready=Ready(tcp=8080, timeout_ns=60 * 10**9))
    done = runtime.run(lab_name, "server", ["curl", "-sS", "-o", "/dev/null", "http://server:8080/"])
    assert (done.status, done.stderr) == (0, "")


def test_a_node_that_is_never_ready(up):
    with pytest.raises(LabError, match=r"not-ready.*8080"):
        up(["server"], ready=Ready(tcp=8080, timeout_ns=10**8))


@pytest.mark.parametrize("ready", [None, Ready(tcp=8080, timeout_ns=3 * 10**9)])
def test_a_node_that_ends_at_once(up, ready):
    with pytest.raises(LabError, match=r"(?s)node-exited.*what a pity"):
        up(["client"], command=("sh", "-c", "echo what a pity >&2; exit 1"), ready=ready)


def test_an_image_that_is_not_to_be_had(up):
    with pytest.raises(MachineError, match=r"image-unavailable.*127.0.0.1:9/no-such"):
        up(["client"], image="127.0.0.1:9/no-such:1")


def test_a_sysctl_that_does_not_exist(up):
    with pytest.raises(LabError, match=r"node client.*no_such_thing"):
        up(["client"], sysctls={"net.ipv4.no_such_thing": "1"})


def test_a_subnet_that_was_taken_meanwhile(up, runtime, lab_name):
    plan = up(["client"])
    try:
        with pytest.raises(LabError, match="subnet-taken"):
            runtime.up(replace(plan, lab=f"{lab_name}-2"), lambda _: None)
    finally:
        assert runtime.down(f"{lab_name}-2")


def test_taken_subnets_include_the_labs_own(standing):
    runtime, plan = standing
    assert {IPv4Network(network.subnet) for network in plan.networks} <= set(runtime.taken())


def test_a_limit_that_this_machine_has_not_got(runtime, lab_name):
    plan = planned(lab_name, cpus_milli=10**6)
    with pytest.raises(MachineError, match="1000 CPUs"):
        runtime.require(plan)
    with pytest.raises(MachineError, match="too-few-cpus"):
        runtime.up(plan, lambda _: None)


SHAPED = """
name: impaired
nodes: {client: {}, server: {}}
links: [{from: client, to: server, delay: 30ms}]
"""


@pytest.mark.parametrize("kind", ["process", "container"])
def test_a_impaired_link_and_down_after_the_agent_was_killed(runtime, lab_name, kind):
    with agent_as(kind):
        lab = Lab.up(loads(SHAPED, "impaired.yml"), name=lab_name, runtime="docker", engine="userspace")
        said = lab["client"].run(pings.until_answered("server", count=5)).stdout
        assert min(pings.complete(said, 5)) >= 30
        lab.link("client", "server").update(delay="1ms")
        os.kill(lab.agent.hello().pid, signal.SIGKILL)
        assert eventually(lambda: any(each.lab == lab_name and not each.healthy for each in runtime.labs()))
        assert runtime.down(lab_name)
        assert runtime.down(lab_name) is False
    assert remains(lab_name) == []


def test_a_lab_of_another_version_is_said_to_be_so_and_hides_no_other(up, standing, lab_name):
    runtime, plan = standing
    up()
    runtime.connect(lab_name).call(messages.Remember(plan={"version": 1, "parts": []}))
    found = {each.lab: each for each in runtime.labs()}
    assert f"the plan of lab {lab_name} can't be read" in found[lab_name].problem
    assert "can't be read" not in found[plan.lab].problem
    for ask in (runtime.require_running, lambda lab: runtime.run(lab, "client", ["true"]), Lab.attach):
        with pytest.raises(LabError, match=f"lab-unreadable(.|\n)*testbed down {lab_name}"):
            ask(lab_name)
    assert runtime.down(lab_name)


def test_down_while_a_container_is_being_removed_and_another_hangs_on_the_network(up, runtime, lab_name):
    up()
    guest = ["docker", "run", "--detach", "--rm", "--network", f"testbed-{lab_name}-net0", "testbed:latest"]
    other = subprocess.run(guest, capture_output=True, text=True, check=True).stdout.strip()
    with subprocess.Popen(["docker", "rm", "--force", f"testbed-{lab_name}-server"], stdout=subprocess.DEVNULL):
        assert runtime.down(lab_name)
    subprocess.run(["docker", "rm", "--force", other], capture_output=True, check=True)
    assert remains(lab_name) == []


KILLED_UP = """
import json, os, sys, time, threading
from testbed.lab import Lab
from testbed.plan.model import Plan
from testbed.runtime import load
from testbed.services import Ready
from testbed.topology import loads
plan = Plan.from_json(json.load(sys.stdin))
def progress(step):
    if step == sys.argv[1]:
        threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), 9)).start()
load("docker").up(plan, progress)
progress("up")
time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["process", "container"])
@pytest.mark.parametrize("moment", [("networks", 0.02), ("nodes", 0.02), ("nodes", 0.3), ("up", 0)])
def test_down_after_up_was_killed(runtime, lab_name, moment, kind):
    step, after = moment
    with agent_as(kind):
        plan = json.dumps(planned(lab_name, ["a", "b", "c"]).to_json()).encode()
        killed = subprocess.run([sys.executable, "-c", KILLED_UP, step, str(after)], input=plan, check=False)
        assert killed.returncode == -signal.SIGKILL
        assert runtime.down(lab_name)
    time.sleep(1)
    assert remains(lab_name) == []
