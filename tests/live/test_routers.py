"""Routers in containers that stop and start again, and the delay of a line of ten hops, as ping sees them."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from testbed.lab import Lab
from testbed.topology import find, load, loads
from tests.live.command_line import eventually
from tests.live.docker_agents import agent_as
from tests.pings import least

pytestmark = pytest.mark.live

ROUND_TRIP_MS = 50
TOPOLOGY = """
name: routers
networks: {lan: {}}
nodes:
  a: {networks: [lan]}
  r1: {networks: [lan], router: true}
  r2: {router: true}
  b:
links:
  - {wire: [r1, r2], delay: 20ms}
  - {wire: [r2, b], delay: 5ms}
"""


def times_ms(lab, source, target, count=5):
    """The round-trip times of those of `count` pings that are answered."""
    done = lab[source].run(["ping", "-n", "-c", str(count), "-i", "0.05", "-W", "1", target])
    return [float(value) for value in re.findall(r"time=([\d.]+) ms", done.stdout)]


@pytest.mark.docker
@pytest.mark.parametrize(("agent", "router"), [("process", "r2"), ("container", "r1")])
def test_a_router_that_stops_breaks_the_path_and_brings_it_back_when_it_starts(agent, router, lab_name):
    if agent == "process" and os.geteuid() != 0:
        pytest.skip("only root can have a local process as the agent of containers")
    with agent_as(agent), Lab.up(loads(TOPOLOGY, "x.yml"), name=lab_name, runtime="docker", engine="userspace") as lab:
        container = f"testbed-{lab_name}-{router}"
        before = lab[router].run(["ip", "route", "show", "proto", "static"]).stdout
        assert min(times_ms(lab, "a", "b")) >= ROUND_TRIP_MS
        subprocess.run(["docker", "stop", "-t0", container], check=True, capture_output=True)
        assert times_ms(lab, "a", "b") == []
        subprocess.run(["docker", "start", container], check=True, capture_output=True)
        assert eventually(lambda: times_ms(lab, "a", "b"))
        assert min(times_ms(lab, "a", "b", 20)) >= ROUND_TRIP_MS
        assert lab[router].run(["ip", "route", "show", "proto", "static"]).stdout == before
        report = lab.attachments()
        assert report.problems == ()
        assert any(f"node {router} was attached to network r1-r2 again" in each.what for each in report.incidents)


@pytest.mark.netns
def test_the_delay_of_a_line_of_ten_hops_is_the_sum_of_the_hops(lab_name):
    topology = load(find("ten-hops"))
    hops = len(topology.wires)
    with Lab.up(topology, name=lab_name, runtime="netns") as lab:
        requested_ms = sum(link.impairments.delay_ns for link in lab.plan.links) / 2 / 1_000_000
        most_ms = requested_ms + 0.3 + 0.2 * hops
        least_ms = least(lambda: min(times_ms(lab, "client", "server", 40)) / 2, most_ms)
        assert requested_ms <= least_ms <= most_ms
