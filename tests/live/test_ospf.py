"""Routers whose own daemons find the routes: a link fails, others take its place, and the check follows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.lab import Lab
from testbed.topology import find, load
from tests.live.command_line import eventually
from tests.live.lateness import check_until_measured
from tests.live.own_programs import without_images

pytestmark = pytest.mark.live

MS = 1_000_000
NO_FRR = None if Path("/usr/lib/frr/ospfd").exists() else "this machine has no FRR (apt-get install frr)"


@pytest.fixture(
    params=[
        pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.servers]),
        pytest.param("netns", marks=[pytest.mark.netns, pytest.mark.skipif(NO_FRR is not None, reason=str(NO_FRR))]),
    ]
)
def lab(request, lab_name, tmp_path):
    # In network namespaces with this machine's FRR, as the file says.
    shipped = without_images("ospf", tmp_path) if request.param == "netns" else find("ospf")
    with Lab.up(load(shipped), name=lab_name, runtime=request.param) as up:
        yield up


def next_hop(lab, router, node):
    """The address to which a router's kernel sends packets for a node, by its own tools; empty without a route."""
    route = lab[router].run(["ip", "route", "get", lab.plan.node(node).interfaces[0].address]).stdout
    return "".join(re.findall(r"^\S+ via (\S+)", route))


def address(lab, node, network):
    return lab.plan.node(node).on(network).address


def test_ospf_finds_another_path_and_the_check_measures_that_one(lab):
    assert eventually(lambda: next_hop(lab, "r1", "server") == address(lab, "r2", "r1-r2"))
    lab.link("r1", "r2").update(blackhole=True)
    lab.link("r2", "r1").update(blackhole=True)
    # No carrier is lost: only the hellos that no longer come tell the routers.
    assert "LOWER_UP" in lab["r1"].run(["ip", "link", "show", "wire1"]).stdout
    assert eventually(lambda: next_hop(lab, "r1", "server") == address(lab, "r4", "r4-r1"))
    assert eventually(lambda: next_hop(lab, "r2", "client") == address(lab, "r3", "r2-r3"))
    wanted = [(f"{path} over 4 nodes", "delay") for path in ("client -> server", "server -> client")]
    checks = check_until_measured(lambda: lab.check(budget_s=60), *wanted)
    paths = {check.path: check for check in checks.values() if check.path}
    assert paths.keys() == {("r1", "r4", "r3", "r2"), ("r2", "r3", "r4", "r1")}
    for path in paths.values():
        assert path.asked.delay_ns == 17 * MS
        assert path.finding("delay").measured >= 17 * MS
