"""Containers that are not the testbed's are made anew, scaled up and down, and join the network while links hold."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import threading
from contextlib import contextmanager

import pytest

from testbed.agent import messages
from testbed.agent.client import Agent
from testbed.errors import LabError
from testbed.lab import Lab
from testbed.runtime import local_agent
from testbed.runtime.docker import endpoints
from testbed.runtime.state import LabDirectory
from testbed.topology import loads
from tests.live.command_line import eventually, run
from tests.live.docker_agents import agent_as
from tests.live.others import IMAGE, adopt, compose_project, docker, impair_both, said, start_agent, system
from tests.pings import round_trips, until_answered

pytestmark = [
    pytest.mark.live,
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a local process as the agent of containers"),
]

ROUND_TRIP_MS = 80
TRIES = 3


@contextmanager
def lab_on(lab, shop, *which):
    """The agent of a lab of containers of somebody's, with links between the first two in both directions."""
    agent = start_agent(lab)
    try:
        adopt(agent, shop, *which)
        impair_both(agent, shop, *which[:2])
        yield agent
    finally:
        local_agent.stop("docker", lab)
        local_agent.sweep("docker", lab)
        LabDirectory("docker", lab).remove()


@contextmanager
def pinged(pid, address):
    """Have a process's network namespace ping an address all the while; the round trips, ms, as they come."""
    argv = ["nsenter", "-t", str(pid), "-n", "ping", "-n", "-i0.01", address]
    program = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    found: list[float] = []

    def read():
        for line in program.stdout or ():
            found.extend(map(float, re.findall(r"time=([\d.]+) ms", line)))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield found
    finally:
        program.terminate()
        reader.join()
        with program:  # closes its pipe, and waits
            pass


def report(agent):
    return agent.call(messages.ReadAttachments())


def test_no_packet_reaches_a_container_made_anew_but_by_its_links(lab_name):
    with system(lab_name, "198.19.241.0/24", "a", "b", "bystander") as shop, lab_on(lab_name, shop, "a", "b") as agent:
        address = shop.address("b")
        with pinged(shop.pid("a"), address) as found:
            docker("restart", "-t0", f"{lab_name}-b")
            assert eventually(lambda: not report(agent).problems)
            docker("rm", "-f", f"{lab_name}-b")
            assert eventually(lambda: report(agent).problems)
            shop.start("b", "--ip", address)
            assert eventually(lambda: not report(agent).problems)
            assert shop.pings("b", "a")
        assert min(found) >= ROUND_TRIP_MS
        docker("rm", "-f", f"{lab_name}-b")
        shop.start("b", "--ip", "198.19.241.77")
        for source, destination in (("a", "b"), ("b", "a")):
            assert min(shop.pings(source, destination)) >= ROUND_TRIP_MS
        assert not any("without impairments" in each.what for each in report(agent).incidents)
        (member,) = agent.hello().members
        assert (member.name, member.like, member.interfaces[0].address) == ("b", "b", "198.19.241.77")
        assert min(shop.pings("bystander", "a")) < ROUND_TRIP_MS / 2


def test_who_is_no_node_waits_for_nothing(lab_name):
    """Its first packet, an ARP request, gets through: if it did not, the answer would be a second late, in each try."""
    with system(lab_name, "198.19.242.0/24", "a", "b") as shop, lab_on(lab_name, shop, "a", "b"):
        argv = ["run", "--rm", "--network", shop.network, IMAGE, *until_answered(shop.address("a"), count=1)]
        firsts = (round_trips(docker(*argv)).get(1, math.inf) for _ in range(TRIES))
        assert any(first < 1000 for first in firsts)
        shop.start("c")
        assert eventually(lambda: "clsact" not in said("tc", "qdisc", "show", "dev", shop.port("c")))


def test_a_service_that_is_scaled_has_its_links(lab_name, tmp_path):
    """Seen by the commands; `web` is a node of that name until there are more of them."""
    with compose_project(lab_name, "198.19.243.0/24", tmp_path) as shop:
        attached = run("attach", lab_name, "--link", "web,db", "delay=40ms", "--no-check", lab=lab_name)
        assert attached.returncode == 0, attached.stderr
        try:
            shop.compose("up", "-d", "-t0", "--force-recreate")
            shop.compose("up", "-d", "--scale", "web=3")
            for each in ("web-1", "web-2", "web-3"):
                assert min(shop.pings(each, "db-1")) >= ROUND_TRIP_MS
            assert min(shop.pings("web-2", "web-3")) < ROUND_TRIP_MS / 2
            lab = Lab.attach(lab_name)
            assert {node: lab.plan.node(node).interfaces[0].address for node in lab} == {
                "web": shop.address("web-1"),
                **{each: shop.address(each.replace("db", "db-1")) for each in ("web-2", "web-3", "db")},
            }
            assert len({link.seed for link in lab.plan.links}) == 6
            assert [check.problem for check in lab.check()] == [None] * 6
            assert not any("without impairments" in each.what for each in lab.attachments().incidents)
            shop.compose("up", "-d", "-t0", "--scale", "web=1")
            assert eventually(lambda: sorted(Lab.attach(lab_name)) == ["db", "web"])
            assert re.search(rf"^{lab_name} +docker +up +db, web$", run("ps").stdout, re.MULTILINE)
            assert [check.problem for check in Lab.attach(lab_name).check()] == [None, None]
        finally:
            detached = run("detach", lab_name)
        assert detached.returncode == 0, detached.stderr
        assert min(shop.pings("web-1", "db-1")) < ROUND_TRIP_MS / 2


OWN = """
name: own
nodes: {a: {}, b: {}}
links:
  - {between: [a, b], delay: 40ms}
"""


@contextmanager
def own_lab(lab_name, agent):
    with agent_as(agent), Lab.up(loads(OWN, "own.yml"), name=lab_name, runtime="docker") as lab:
        yield lab


def make_anew(lab, node):
    """Remove a node's container, and run another one with its name, network and address."""
    container, address = f"testbed-{lab.name}-{node}", lab.plan.node(node).interfaces[0].address
    docker("rm", "-f", container)
    docker("run", "-d", "--name", container, "--network", f"testbed-{lab.name}-lan", "--ip", address, IMAGE)
    return container


def kill_agent(lab_name, agent):
    if agent == "container":
        docker("kill", f"testbed-{lab_name}.agent")
    else:
        os.kill(Agent.at(LabDirectory("docker", lab_name).socket).hello().pid, signal.SIGKILL)


@pytest.mark.parametrize("agent", ["process", "container"])
def test_nodes_of_our_own_that_are_made_anew_have_their_links_or_nothing(lab_name, agent):
    with own_lab(lab_name, agent) as lab:
        address = {node: lab.plan.node(node).interfaces[0].address for node in lab}
        pid = docker("inspect", "-f", "{{.State.Pid}}", f"testbed-{lab_name}-a")
        with pinged(pid, address["b"]) as found:
            container = make_anew(lab, "b")
            assert eventually(lambda: not lab.attachments().problems)
            assert re.search(rf"^{lab_name} +docker +up +a, b$", run("ps").stdout, re.MULTILINE)
            count = len(found)
            assert eventually(lambda: len(found) > count)
            assert not any("without impairments" in each.what for each in lab.attachments().incidents)
            kill_agent(lab_name, agent)
            docker("restart", "-t0", container)
            make_anew(lab, "b")
            assert lab["a"].run(["ping", "-c1", "-W1", address["b"]]).status
            assert re.search(rf"^{lab_name} .*broken: ", run("ps").stdout, re.MULTILINE)
        assert min(found) >= ROUND_TRIP_MS
        docker("rm", "-f", container)


ATTACHED = """
name: attached
nodes: {a: {container: NAME-a}, b: {container: NAME-b}}
links:
  - {between: [a, b], delay: 40ms}
"""


def test_without_a_docker_engine_to_ask_nodes_made_anew_are_cut_off_and_those_of_others_refused(lab_name, monkeypatch):
    """Its machine has no socket at the usual place, perhaps because it only listens on TCP."""
    monkeypatch.setattr(endpoints, "DEFAULT_SOCKET", "/nonexistent/docker.sock")
    with own_lab(lab_name, "container") as lab:
        container = make_anew(lab, "b")
        assert lab["a"].run(["ping", "-c1", "-W1", lab.plan.node("b").interfaces[0].address]).status
        assert re.search(rf"^{lab_name} .*broken: node b does not run", run("ps").stdout, re.MULTILINE)
        docker("rm", "-f", container)
    with system(lab_name, "198.19.248.0/24", "a", "b"), agent_as("container"):
        with pytest.raises(LabError, match="would be taken for a container without links") as caught:
            Lab.up(loads(ATTACHED.replace("NAME", lab_name), "attached.yml"), name=lab_name, runtime="docker")
        assert caught.value.code == "docker-engine-unknown"
