"""Routers and wires, over every runtime and engine, as ping and ip see them."""

from __future__ import annotations

import json

import pytest

from tests.contract.labs import NETEM_ONCE, quickest, shared_lab
from tests.live.lateness import check_until_measured

TOPOLOGY = """
name: routed
networks: {lan: {}}
nodes:
  a: {networks: [lan]}
  r1: {networks: [lan], router: true}
  r2: {router: true}
  around: {router: true}
  b:
  watcher: {networks: [lan], routes: [{to: small, via: r1}]}
links:
  - {wire: [r1, around], name: first-half}
  - {wire: [around, r2], name: second-half}
  - {wire: [r1, r2], delay: 10ms}
  - {from: r2, to: r1, delay: 15ms}
  - {wire: [r2, b], delay: 5ms, name: small, mtu: 1400, rate: 20mbit}
workloads:
  - {name: rpc, kind: udp-rr, from: a, to: b, count: 5}
"""

ONE_WAY_MS, BACK_MS = 15, 20
ROUND_TRIP_MS = ONE_WAY_MS + BACK_MS


BUDGET_S = 120
"""For a check of which nothing may be left out, on a slow machine too."""


@pytest.fixture(scope="module", params=NETEM_ONCE)
def lab(request):
    with shared_lab(TOPOLOGY, request.param) as lab:
        yield lab


def address(lab, node, network):
    return lab.plan.node(node).on(network).address


def one_ping(lab, *options):
    done = lab["a"].run(["ping", "-n", "-c", "1", "-W", "30", *options, "b"])
    return done.stdout + done.stderr


def test_packets_cross_all_routers_of_the_shortest_path(lab):
    assert quickest(lab["a"], "b") >= ROUND_TRIP_MS
    assert "ttl=62" in one_ping(lab)


@pytest.mark.parametrize(("ttl", "router", "network"), [(1, "r1", "lan"), (2, "r2", "r1-r2")])
def test_a_router_says_from_its_address_on_the_path_that_the_time_to_live_is_exceeded(lab, ttl, router, network):
    said = one_ping(lab, "-t", str(ttl))
    assert f"From {address(lab, router, network)} icmp_seq=1 Time to live exceeded" in said, said


def test_a_router_says_which_packets_are_too_large_for_the_next_wire(lab):
    said = one_ping(lab, "-M", "do", "-s", "1472")
    assert f"From {address(lab, 'r2', 'r1-r2')} icmp_seq=1 Frag needed and DF set (mtu = 1400)" in said, said
    assert "bytes from" in one_ping(lab, "-M", "do", "-s", "1372")


def test_a_closed_port_is_reported_over_all_hops(lab):
    probe = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(9); "
        "s.connect((socket.gethostbyname('b'), 9)); s.send(b'x'); s.recv(1)"
    )
    assert "ConnectionRefusedError" in lab["a"].run(["python3", "-c", probe]).stderr


@pytest.mark.parametrize("node", ["a", "r1", "r2", "around", "b", "watcher"])
def test_the_kernel_has_the_routes_of_the_plan(lab, node):
    listed = json.loads(lab[node].run(["ip", "-json", "route", "show", "proto", "static"]).stdout)
    present = {(route["dst"], route["gateway"]) for route in listed}
    subnets = {network.name: network.subnet for network in lab.plan.networks}
    assert present == {
        (subnets.get(to, to), address(lab, route.via, route.network))
        for route in lab.plan.node(node).routes
        for to in route.to
    }
    assert present


def test_names_resolve_to_the_address_where_packets_arrive(lab):
    seen = {name: lab["a"].run(["getent", "ahostsv4", name]).stdout.split()[0] for name in ("r1", "r2", "b", "around")}
    assert seen == {
        "r1": address(lab, "r1", "lan"),
        "r2": address(lab, "r2", "r1-r2"),
        "b": address(lab, "b", "small"),
        "around": address(lab, "around", "first-half"),
    }


def test_a_workload_crosses_several_links(lab):
    summary = lab.run_workload("rpc")
    assert summary.values["delivered"] == 5
    assert summary.values["latency_min_ns"] >= ROUND_TRIP_MS * 1_000_000


def test_a_wire_can_be_changed(lab):
    link = lab.link("r1", "r2")
    link.update(delay="60ms")
    try:
        assert quickest(lab["a"], "b") >= ROUND_TRIP_MS + 50
    finally:
        link.update(delay="10ms")


def test_the_check_measures_each_link_and_the_path(lab):
    paths = ("a -> b over r1, r2", "b -> a over r2, r1")
    checks = check_until_measured(lambda: lab.check(budget_s=BUDGET_S), *((path, "delay") for path in paths))
    by_ends = {(each.source, each.destination): each for each in checks.values()}
    assert by_ends["r1", "r2"].path == ()
    assert by_ends["r1", "r2"].finding("delay").asked == 10_000_000
    for ends, nodes, delay_ms in ((("a", "b"), ("r1", "r2"), ONE_WAY_MS), (("b", "a"), ("r2", "r1"), BACK_MS)):
        whole = by_ends[ends]
        assert whole.path == nodes
        assert {finding.name for finding in whole.findings} >= {"delay", "loss", "rate"}
        assert whole.finding("delay").asked == delay_ms * 1_000_000
        assert whole.finding("delay").measured >= delay_ms * 1_000_000
        assert whole.finding("loss").asked == 0
        assert whole.finding("rate").asked == 20_000_000


def test_a_node_that_is_no_router_forwards_nothing(lab):
    forwards = {
        node: lab[node].run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout.strip() for node in ("a", "b", "r1")
    }
    assert forwards == {"a": "0", "b": "0", "r1": "1"}
    assert "default" not in lab["b"].run(["ip", "route"]).stdout
