"""Uplinks and downlinks, over every runtime and engine, as ping, iperf3 and sockets see them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from ipaddress import IPv4Network

import pytest

from tests import pings
from tests.contract.labs import NETEM_ONCE, USERSPACE, assert_quickest, own_lab, quickest, shared_lab
from tests.live.command_line import COMMAND, MARK, eventually, processes, running
from tests.live.lateness import check_until_measured, wrong

TOPOLOGY = """
name: shared
nodes: {client: , near: , far: , aside: }
links:
  - {from: client, rate: 8mbit, queue: 100ms, delay: 5ms}
  - {to: client, delay: 10ms}
  - {from: client, match: {dscp: EF}, delay: 60ms}
  - {between: [client, far], delay: 20ms}
  - {to: far, delay: 7ms}
"""

NEAR_MS, FAR_MS = 5 + 10, 5 + 20 + 7 + 20 + 10
RATE_BPS = 8_000_000

ALLOWED_MS = 14
"""What a busy machine may add to the quickest of 20 round trips; less than any of the delays that could be missed."""


@pytest.fixture(scope="module", params=NETEM_ONCE)
def lab(request):
    with shared_lab(TOPOLOGY, request.param) as lab:
        yield lab


def address_of(lab, name):
    return lab.plan.node(name).on("lan").address


def is_reached(lab, destination):
    """Whether two packets of the client are answered."""
    return lab["client"].run(pings.until_answered(destination, count=2, interval_s=0.2)).status == 0


def is_cut_off(lab, destination):
    """Whether none of two packets of the client is answered."""
    said = lab["client"].run(["ping", "-c", "2", "-W", "1", "-i", "0.2", destination]).stdout
    return " 0 received" in said


def test_packets_meet_the_uplink_the_link_of_the_pair_and_the_downlink(lab):
    for source, destination, round_trip_ms in (
        ("client", "near", NEAR_MS),
        ("near", "client", NEAR_MS),
        ("client", "far", FAR_MS),
    ):
        assert_quickest(lab[source], destination, round_trip_ms, round_trip_ms + ALLOWED_MS)


def test_nodes_without_an_uplink_are_not_impaired(lab):
    assert_quickest(lab["near"], "aside", 0, ALLOWED_MS)


def test_a_match_selects_packets_of_an_uplink(lab):
    said = lab["client"].run(pings.until_answered("near", "-Q", "0xb8", count=3, interval_s=0.3)).stdout
    assert min(pings.complete(said, 3)) >= 60 + 10


def test_one_queue_serves_all_destinations(lab):
    names = ("near", "aside")
    for name in names:
        lab[name].run(["iperf3", "-s", "-D", "-1"])
        assert lab[name].run(["sh", "-c", "until ss -ltn | grep -q :5201; do sleep 0.05; done"], timeout=60).status == 0
    now = "date +%s.%N"
    both = " ".join(f"iperf3 -c {name} -t 4 -J > /tmp/{name}.json &" for name in names)
    timed = lab["client"].run(["sh", "-c", f"{now}; {both} wait; {now}"]).stdout.split()
    begun, ended = map(float, timed)
    ends = [json.loads(lab["client"].run(["cat", f"/tmp/{name}.json"]).stdout)["end"] for name in names]
    bits = [8 * each["sum_received"]["bytes"] for each in ends]
    # One may begin after the other, so that each has more than its share for a while: what counts is what both carry.
    assert sum(bits) <= RATE_BPS * (ended - begun)
    assert min(bits) > 0


def broadcasts(lab, name):
    """How many IPv4 broadcasts a node has received."""
    lines = [line.split() for line in lab[name].run(["cat", "/proc/net/netstat"]).stdout.splitlines()]
    titles, values = (line for line in lines if line[0] == "IpExt:")
    return int(values[titles.index("InBcastPkts")])


def test_a_broadcast_reaches_each_other_node_once(lab):
    subnet = IPv4Network(lab.plan.networks[0].subnet)  # to 255.255.255.255 nothing passes Docker's internal networks
    send = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1); "
        f"s.bind(({address_of(lab, 'client')!r}, 0)); "
        f"[s.sendto(b'x', ({str(subnet.broadcast_address)!r}, 9)) for _ in range(3)]"
    )
    names = ("near", "far", "aside")
    before = {name: broadcasts(lab, name) for name in names}
    lab["client"].run(["python3", "-c", send])
    for name in names:
        assert eventually(lambda name=name: broadcasts(lab, name) - before[name] >= 3), name
        assert is_reached(lab, name)  # by packets behind a fourth one, if there is any
    more = {name: broadcasts(lab, name) - before[name] for name in names}
    assert more == dict.fromkeys(names, 3)


def test_the_check_measures_uplinks_and_downlinks_and_what_lies_beside_a_link(lab):
    checks = check_until_measured(lambda: lab.check(budget_s=60), ("client uplink", "rate"))
    assert wrong(checks.values()) == []
    assert {"client uplink", "client downlink", "far downlink"} <= checks.keys()
    assert checks["client uplink"].finding("rate").measured == pytest.approx(RATE_BPS, rel=0.05)
    assert checks["client downlink"].finding("delay").asked == 10_000_000


def test_a_changed_uplink_counts_at_once_and_a_new_one_too(lab):
    lab.link("client", "*").update(delay="45ms")
    lab.link("aside", "*").update(delay="30ms")
    try:
        assert quickest(lab["client"], "near") >= 45 + 10
        assert quickest(lab["near"], "aside") >= 30
    finally:
        lab.link("client", "*").update(delay="5ms")
        lab.link("aside", "*").update(delay="0")


def test_matches_are_added_to_an_uplink_one_after_the_other(lab):
    lines = [lab.link("aside", "*", match=match) for match in ("protocol=udp", "protocol=icmp")]
    try:
        for line in lines:
            line.update(delay="40ms")
        assert quickest(lab["aside"], "near") >= 40
    finally:
        for line in lines:
            line.update(delay="0")
    assert_quickest(lab["aside"], "near", 0, ALLOWED_MS)


def test_what_an_uplink_loses_reaches_nobody(lab):
    lab.link("client", "*").update(blackhole=True)
    try:
        for name in ("near", "far"):
            assert is_cut_off(lab, name)
    finally:
        lab.link("client", "*").update(blackhole=False)
    assert is_reached(lab, "near")


@pytest.mark.parametrize("backend", USERSPACE)
def test_a_line_whose_worker_dies_passes_nothing(backend, lab_name, monkeypatch):
    text = "name: x\nnodes: {client: , near: }\nlinks: [{from: client, delay: 2ms}]"
    monkeypatch.setenv(MARK, lab_name)
    with own_lab(text, lab_name, backend) as lab:
        assert is_reached(lab, "near")
        for worker in running("testbed.engines.userspace.worker", processes(lab_name)):
            os.kill(worker, signal.SIGKILL)
        assert eventually(lambda: "client uplink on lan" in lab.agent.hello().dead_links)
        assert is_cut_off(lab, "near")


@pytest.mark.parametrize("backend", USERSPACE)
def test_a_node_with_links_of_pairs_and_to_the_machine_gets_an_uplink_and_a_downlink(backend, lab_name):
    links = "{between: [client, near], delay: 4ms}, {between: [client, near], match: {protocol: tcp}, delay: 9ms}"
    text = (
        "name: x\nnetworks: {lan: {internal: false}}\nnodes: {client: , near: }\n"
        f"links: [{links}, {{between: [host, client], delay: 6ms}}]\n"
    )
    with own_lab(text, lab_name, backend) as lab:
        lab.link("client", "*").update(delay="20ms")
        lab.link("*", "client").update(delay="10ms")
        assert quickest(lab["client"], "near") >= 4 + 20 + 4 + 10
        assert quickest(lab["client"], str(lab.plan.networks[0].gateway)) >= 6 + 20 + 6 + 10
        checks = {check.link: check for check in lab.check(budget_s=60)}
        assert wrong(checks.values()) == []
        assert "client -> host with client uplink" in checks
        command_line = subprocess.run([*COMMAND, "impair", lab_name, "host", "near", "delay=25ms"], check=False)
        assert command_line.returncode == 0
        assert quickest(lab["near"], str(lab.plan.networks[0].gateway)) >= 25
        lab.link("internet", "near").update(delay="15ms")
        (found,) = [check for check in lab.check(budget_s=60) if check.source == "internet"]
        assert wrong([found]) == []
        assert found.asked.delay_ns == 15_000_000
