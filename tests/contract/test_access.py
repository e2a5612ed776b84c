"""Uplinks and downlinks, over every runtime and engine, as ping, iperf3 and sockets see them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from ipaddress import IPv4Network

import pytest

from tests.contract.labs import NETEM_ONCE, USERSPACE, own_lab, quickest, shared_lab
from tests.live.command_line import COMMAND, MARK, processes, running
from tests.live.lateness import wrong

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


def arrived(lab, destination):
    """How many of two packets of the client were answered."""
    said = lab["client"].run(["ping", "-c", "2", "-W", "1", "-i", "0.2", destination]).stdout
    return int(re.findall(r"(\d+) received", said)[0])


def test_packets_meet_the_uplink_the_link_of_the_pair_and_the_downlink(lab):
    for source, destination, round_trip_ms in (
        ("client", "near", NEAR_MS),
        ("near", "client", NEAR_MS),
        ("client", "far", FAR_MS),
    ):
        assert round_trip_ms <= quickest(lab[source], destination) < round_trip_ms + ALLOWED_MS


def test_nodes_without_an_uplink_are_not_impaired(lab):
    assert quickest(lab["near"], "aside") < ALLOWED_MS


def test_a_match_selects_packets_of_an_uplink(lab):
    said = lab["client"].run(["ping", "-n", "-c", "3", "-i", "0.3", "-Q", "0xb8", "near"]).stdout
    assert min(float(time_ms) for time_ms in re.findall(r"time=([\d.]+)", said)) >= 60 + 10


def test_one_queue_serves_all_destinations(lab):
    for name in ("near", "aside"):
        lab[name].run(["iperf3", "-s", "-D", "-1"])
    script = (
        "iperf3 -c near -t 4 -J > /tmp/near.json & iperf3 -c aside -t 4 -J > /tmp/aside.json; wait; "
        "cat /tmp/near.json /tmp/aside.json"
    )
    text = lab["client"].run(["sh", "-c", f"sleep 0.5; {script}"]).stdout
    results, rest = [], text.strip()
    while rest:
        found, end = json.JSONDecoder().raw_decode(rest)
        results.append(found["end"]["sum_received"]["bits_per_second"])
        rest = rest[end:].strip()
    assert len(results) == 2
    assert sum(results) <= RATE_BPS
    assert min(results) > 0


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
    time.sleep(0.5)
    more = {name: broadcasts(lab, name) - before[name] for name in names}
    assert more == dict.fromkeys(names, 3)


def test_the_check_measures_uplinks_and_downlinks_and_what_lies_beside_a_link(lab):
    checks = {check.link: check for check in lab.check(budget_s=60)}
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
    assert quickest(lab["aside"], "near") < ALLOWED_MS


def test_what_an_uplink_loses_reaches_nobody(lab):
    lab.link("client", "*").update(blackhole=True)
    try:
        for name in ("near", "far"):
            assert arrived(lab, name) == 0
    finally:
        lab.link("client", "*").update(blackhole=False)
    assert arrived(lab, "near") == 2


@pytest.mark.parametrize("backend", USERSPACE)
def test_a_line_whose_worker_dies_passes_nothing(backend, lab_name, monkeypatch):
    text = "name: x\nnodes: {client: , near: }\nlinks: [{from: client, delay: 2ms}]"
    monkeypatch.setenv(MARK, lab_name)
    with own_lab(text, lab_name, backend) as lab:
        assert arrived(lab, "near") == 2
        for worker in running("testbed.engines.userspace.worker", processes(lab_name)):
            os.kill(worker, signal.SIGKILL)
        assert arrived(lab, "near") == 0
        assert "client uplink on lan" in lab.agent.hello().dead_links


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
