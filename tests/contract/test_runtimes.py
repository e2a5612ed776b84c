"""What every runtime promises with every engine: one suite for {docker, netns} x {netem, userspace}."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from testbed.errors import LabError, UsageError
from testbed.lab import Lab, find, take_down
from testbed.topology import loads
from tests import pings
from tests.conftest import agent_process, remains
from tests.contract.labs import BACKENDS, USERSPACE, assert_quickest, quickest
from tests.live.command_line import eventually

TOPOLOGY = """
name: contract
networks:
  one: {}
  two: {}
nodes:
  a: {networks: [one]}
  b: {networks: [one, two]}
  c: {networks: [one]}
  far: {networks: [two]}
links:
  - {from: a, to: b, delay: 20ms}
  - {from: b, to: a, delay: 10ms}
  - {from: c, to: b, delay: 50ms}
  - {between: [b, far], delay: 5ms}
"""


once = pytest.mark.parametrize("backend", USERSPACE, indirect=True)
"""For what no engine has a part in: one of them will do."""


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture
def up(backend, lab_name):
    """Brings a topology up with the backend under test; takes it down at the end."""
    runtime, engine = backend
    yield lambda text=TOPOLOGY: Lab.up(loads(text, "test.yml"), name=lab_name, runtime=runtime, engine=engine)
    take_down(lab_name)


def is_reached(lab, name):
    """Whether a packet of node a is answered."""
    return lab["a"].run(pings.until_answered(name, count=1, interval_s=1)).status == 0


MTUS = (576, 1000, 1279, 1280, 9000, 65535)
"""From IPv4's least to jumbo frames and the longest packet; below 1280 a device has no IPv6."""


def test_links_of_every_mtu_carry_full_packets(up):
    networks = ", ".join(f"net-{mtu}: {{mtu: {mtu}}}" for mtu in MTUS)
    both = f"{{networks: [{', '.join(f'net-{mtu}' for mtu in MTUS)}]}}"
    links = ", ".join(f"{{between: [a, b], network: net-{mtu}, delay: 5ms}}" for mtu in MTUS)
    lab = up(f"{{name: mtus, networks: {{{networks}}}, nodes: {{a: {both}, b: {both}}}, links: [{links}]}}")
    for interface in lab.plan.node("b").interfaces:
        size = int(interface.network.removeprefix("net-")) - 28  # without the headers of IPv4 and ICMP
        whole = ("-M", "do", "-s", str(size))
        said = lab["a"].run(pings.until_answered(interface.address, *whole, count=1, interval_s=1)).stdout
        assert min(pings.round_trips(said).values()) >= 10


def test_links_are_impaired_each_by_itself(up):
    lab = up()
    assert_quickest(lab["a"], "b", 30, 31.5)
    assert_quickest(lab["c"], "b", 50, 51.5)
    assert_quickest(lab["far"], "b", 10, 11.5)
    assert_quickest(lab["a"], "c", 0, 5)
    counted = {(each.source, each.destination): each for each in lab.statistics()}
    assert set(counted) == {("a", "b"), ("b", "a"), ("c", "b"), ("b", "far"), ("far", "b")}


def test_impairments_are_replaced_while_the_lab_is_up(up):
    lab = up()
    link = lab.link("a", "b")
    assert link.update(delay="60ms").delay_ns == 60_000_000
    assert link.impairments.delay_ns == 60_000_000
    assert_quickest(lab["a"], "b", 70, 71.5)
    link.update(loss="100%")
    assert lab["a"].run(["ping", "-c2", "-W1", "-i0.2", "b"]).status == 1
    link.update(loss="0", delay="20ms")
    assert_quickest(lab["a"], "b", 30, 31.5)
    unimpaired = lab.link("a", "c")
    unimpaired.update(delay="15ms")
    assert_quickest(lab["a"], "c", 15, 16.5)


@once
def test_up_again_changes_nothing_and_down_twice_is_fine(up, lab_name):
    lab = up()
    before = lab.agent.hello().pid
    again = up()
    assert again.was_up
    assert not lab.was_up
    assert again.plan == lab.plan
    assert lab.agent.hello().pid == before
    with pytest.raises(LabError, match=r"lab-differs: .*impairments is delay 20 ms.*, not delay 21 ms"):
        up(TOPOLOGY.replace("20ms", "21ms"))
    lab.down()
    assert remains(lab_name) == []
    lab.down()


@once
def test_commands_in_nodes(up):
    lab = up()
    done = lab["a"].run(["sh", "-c", "cat; echo oops >&2; hostname; exit 3"], stdin=b"hello\n")
    assert (done.status, done.stdout, done.stderr) == (3, "hello\na\n", "oops\n")
    assert lab["a"].run(["no-such-program"]).status == 127
    assert lab["a"].run(["sh", "-c", "kill -9 $$"]).status == 137
    with pytest.raises(LabError, match="command-timeout"):
        lab["a"].run(["sleep", "60"], timeout=0.5)
    with pytest.raises(UsageError, match="unknown-node"):
        lab["nobody"]


def test_when_the_agent_dies_impaired_links_pass_nothing(up, backend, lab_name):
    lab = up()
    runtime, engine = backend
    if runtime == "netns":
        os.kill(agent_process(lab_name), signal.SIGKILL)
        with pytest.raises(LabError, match="agent-gone"):
            lab["a"].run(["true"])
    else:
        os.kill(lab.agent.hello().pid, signal.SIGKILL)
        if engine == "userspace":  # a killed process may still take a moment to end
            assert eventually(lambda: lab["a"].run(["ping", "-c3", "-W1", "-i0.2", "b"]).status == 1)
        else:  # the kernel goes on shaping; what it must not be is perfect
            assert quickest(lab["a"], "b", 3) >= 30
        assert is_reached(lab, "c")
    found = find(lab_name)
    assert found
    assert eventually(lambda: [each.healthy for each in found.labs() if each.lab == lab_name] == [False])
    assert found.down(lab_name)
    assert remains(lab_name) == []


NODES = """
name: nodes
nodes:
  server:
    command: [python3, -m, http.server, "8080"]
    environment: {COLOUR: green}
    sysctls: {net.ipv4.ip_default_ttl: "77"}
    ready: {tcp: 8080}
  client: {}
"""


@once
def test_a_nodes_own_command_environment_and_settings(up):
    lab = up(NODES)
    fetched = lab["client"].run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://server:8080/"])
    assert fetched.stdout == "200"
    assert lab["server"].run(["sh", "-c", "echo $COLOUR"]).stdout == "green\n"
    assert " ttl=77 " in lab["client"].run(["ping", "-n", "-c1", "server"]).stdout


@once
def test_a_node_that_does_not_get_ready_is_undone(up, lab_name):
    with pytest.raises(LabError, match="not-ready"):
        up(NODES.replace("tcp: 8080", "tcp: 8081, timeout: 300ms"))
    assert remains(lab_name) == []


@once
def test_a_node_whose_command_ends_at_once_is_undone(up, lab_name):
    ending = NODES.replace('[python3, -m, http.server, "8080"]', '[sh, -c, "echo boom >&2; exit 3"]')
    with pytest.raises(LabError, match=r"(?s)node-exited.*server.*boom"):
        up(ending.replace("tcp: 8080", "tcp: 8080, timeout: 1s"))
    assert remains(lab_name) == []


@once
def test_a_setting_that_the_kernel_refuses_is_an_error_and_undone(up, lab_name):
    with pytest.raises(LabError):
        up(NODES.replace('ip_default_ttl: "77"', 'ip_default_ttl: "none"'))
    assert remains(lab_name) == []


def test_two_labs_of_one_file_live_side_by_side(up, backend, lab_name):
    first = up()
    second = Lab.up(loads(TOPOLOGY, "test.yml"), name=f"{lab_name}-2", runtime=backend[0], engine=backend[1])
    with second:
        second.link("a", "b").update(loss="100%")
        assert second["a"].run(["ping", "-c1", "-W1", "b"]).status == 1
        assert is_reached(first, "b")
    assert remains(f"{lab_name}-2") == []
    assert is_reached(first, "b")


@once
def test_the_orchestrators_directory_holds_no_state_that_matters(up, lab_name):
    lab = up()
    for directory in Path("/run/testbed").glob(f"*/{lab_name}"):
        (directory / "agent.sock").unlink()
    lab.down()
    assert remains(lab_name) == []
