"""Containers that run already: their links are impaired, measured from within them, and given back."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from testbed.lab import Lab
from testbed.topology import loads
from tests.live.compose_projects import docker, project
from tests.live.docker_agents import agent_as

pytestmark = [pytest.mark.docker, pytest.mark.live]

ROUND_TRIP_MS = 80


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A compose project that is up all the while."""
    with project(tmp_path_factory.mktemp("shop")) as made:
        yield made


def round_trips(said):
    return [float(found) for found in re.findall(r"time=([\d.]+) ms", said)]


def shortest(shop, service, address):
    return min(round_trips(shop.ping(service, address, "-c10")))


def device_of(index):
    """The name of a device of the machine."""
    listed = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    (name,) = re.findall(rf"^{index}: ([^:@]+)", listed, re.MULTILINE)
    return name


def traces(shop):
    """What a lab could leave behind: filters at the ports of the containers, and permanent neighbours in them."""
    found: dict[object, object] = {}
    for service in ("web", "db", "other"):
        name = shop.container(service)
        found[service] = re.findall(r"\S+ lladdr \S+ PERMANENT", docker("exec", name, "ip", "neigh"))
        for index in re.findall(r"eth\d+@if(\d+)", docker("exec", name, "ip", "-o", "link")):
            command = ["tc", "filter", "show", "dev", device_of(index), "egress"]
            found[service, index] = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return found


TOPOLOGY = """
name: attached
compose: {{project: {project}}}
links:
  - {{between: [web, db], network: default, delay: 40ms, loss: 2%}}
workloads:
  - {{name: page, kind: http, from: db, to: web, port: 80, network: default, count: 1}}
  - {{name: ping, kind: ping, from: db, to: web, network: default, count: 60, interval: 20ms}}
timeline:
  - {{at: 100ms, link: {{between: [web, db], network: default}}, delay: 60ms}}
expect:
  - ping.latency.min >= 80ms
capture: [db]
sockets: [web]
"""


@pytest.fixture(
    params=[
        ("process", "userspace"),
        ("container", "userspace"),
        pytest.param(("process", "netem"), marks=pytest.mark.netem),
    ],
    ids=" ".join,
)
def how(request):
    if request.param[0] == "process" and os.geteuid() != 0:
        pytest.skip("only root can have a local process as the agent of containers")
    return request.param


def test_services_are_impaired_measured_and_given_back(shop, how, lab_name, tmp_path):
    agent, engine = how
    before = traces(shop)
    web, db = shop.address("web"), shop.address("db")
    assert shortest(shop, "db", web) < ROUND_TRIP_MS
    topology = loads(TOPOLOGY.format(project=shop.name), "attached.yml")
    with agent_as(agent), Lab.up(topology, name=lab_name, engine=engine) as lab:
        assert set(lab) == {"web", "db", "other"}
        assert shortest(shop, "db", web) >= ROUND_TRIP_MS
        assert shortest(shop, "web", db) >= ROUND_TRIP_MS
        for service, address in (("other", web), ("other", db), ("db", shop.address("web", "back"))):
            assert shortest(shop, service, address) < ROUND_TRIP_MS
        assert lab["db"].run(["hostname"]).stdout.strip() == docker(
            "inspect", "--format", "{{.Config.Hostname}}", shop.container("db")
        )
        found = lab.run(tmp_path)
        assert [check.passed for check in found.checks] == [True, True]
        assert len(found.outcomes) == 1
        assert found.as_expected, found.why_not_trusted
        lab.link("db", "web", "default").update(delay="200ms")
        assert shortest(shop, "db", web) >= 240
    assert shortest(shop, "db", web) < ROUND_TRIP_MS
    assert traces(shop) == before
