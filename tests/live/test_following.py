"""Containers that are not the testbed's are made anew, scaled up and down, and join the network while links hold."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager

import pytest

from testbed.agent import messages
from testbed.runtime import local_agent
from testbed.runtime.state import LabDirectory
from tests.live.command_line import eventually
from tests.live.others import IMAGE, adopt, compose_project, docker, impair_both, said, start_agent, system

pytestmark = [
    pytest.mark.live,
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a local process as the agent of containers"),
]

ROUND_TRIP_MS = 80


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
def pinged(shop, source, address):
    """Have a container ping an address all the while; the round trips, ms, are there after the context."""
    argv = ["nsenter", "-t", str(shop.pid(source)), "-n", "ping", "-n", "-i0.01", address]
    program = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    found: list[float] = []
    try:
        yield found
    finally:
        program.terminate()
        found += map(float, re.findall(r"time=([\d.]+) ms", program.communicate()[0]))


def report(agent):
    return agent.call(messages.Attachments())


def test_no_packet_reaches_a_container_made_anew_but_by_its_links(lab_name):
    with system(lab_name, "198.19.241.0/24", "a", "b", "bystander") as shop, lab_on(lab_name, shop, "a", "b") as agent:
        address = shop.address("b")
        with pinged(shop, "a", address) as found:
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
        assert max(shop.pings("bystander", "a")) < ROUND_TRIP_MS / 2


def test_who_is_no_node_waits_for_nothing(lab_name):
    """Its first packet, an ARP request, gets through: if it did not, the answer would be a second late."""
    with system(lab_name, "198.19.242.0/24", "a", "b") as shop, lab_on(lab_name, shop, "a", "b"):
        argv = ["run", "--rm", "--network", shop.network, IMAGE, "ping", "-nc1", shop.address("a")]
        (round_trip,) = re.findall(r"time=([\d.]+) ms", docker(*argv))
        assert float(round_trip) < 1000
        shop.start("c")
        assert eventually(lambda: "clsact" not in said("tc", "qdisc", "show", "dev", shop.port("c")))


def test_a_service_that_is_scaled_has_its_links(lab_name, tmp_path):
    with (
        compose_project(lab_name, "198.19.243.0/24", tmp_path) as shop,
        lab_on(lab_name, shop, "web-1", "db-1") as agent,
    ):
        shop.compose("up", "-d", "-t0", "--force-recreate")
        assert eventually(lambda: not report(agent).problems)
        shop.compose("up", "-d", "--scale", "web=3")
        assert eventually(lambda: len(agent.hello().members) == 4)
        members = {each.name: each for each in agent.hello().members}
        assert {each.like for each in members.values()} == {"web-1", "db-1"}
        assert not members["web-1"].links
        seeds = {each.seed for name in ("web-2", "web-3") for each in members[name].links}
        assert len(seeds) == 4
        for each in ("web-1", "web-2", "web-3"):
            assert min(shop.pings(each, "db-1")) >= ROUND_TRIP_MS
            assert members[each].interfaces[0].address == shop.address(each)
        assert max(shop.pings("web-2", "web-3")) < ROUND_TRIP_MS / 2
        shop.compose("up", "-d", "-t0", "--scale", "web=1")
        assert eventually(lambda: agent.hello().left == ("web-2", "web-3"))
        assert not report(agent).problems
        assert not any("without impairments" in each.what for each in report(agent).incidents)
        assert min(shop.pings("db-1", "web-1")) >= ROUND_TRIP_MS
