"""Links between nodes that are made here: what they cost, in calls, and what is left of a failure."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from itertools import permutations

import msgspec
import pytest

from testbed.agent import creation
from testbed.agent.journal import Journal
from testbed.agent.link_devices import LinkDevices
from testbed.agent.links import Links
from testbed.agent.messages import LinkRequest, NewInterface, NewNetwork, NewNode
from testbed.agent.netlink import RouteSocket
from testbed.agent.wiring import Wiring
from testbed.engines import load
from testbed.engines.engine import Switch
from testbed.errors import LabError
from testbed.impairments import DelaySteps, Impairments
from testbed.linux import namespaces

PING = ("ping", "-n", "-c2", "-i0.05", "-W1")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")


def interface(number):
    return NewInterface(
        network="lan",
        name="eth0",
        address=f"198.18.0.{number + 1}",
        prefix_length=24,
        mac=f"02:42:c6:12:00:{number + 1:02x}",
    )


@asynccontextmanager
async def links_of(nodes, directory, *, journal=None):
    """A lab of nodes on one network, which is open if there is a journal, without links so far."""
    switch = namespaces.new_network()
    with namespaces.inside(switch):
        route = RouteSocket()
    try:
        wiring = Wiring(switch, route)
        wanted = [
            NewNode(
                name=f"n{at}",
                sysctls={},
                environment={},
                hosts="",
                directory="/",
                interfaces=(interface(at),),
                routes=(),
            )
            for at in range(nodes)
        ]
        creation.create(wiring, [NewNetwork(name="lan", mtu=1500)], wanted, [], directory)
        devices = LinkDevices("lab-x", switch, route, switch)
        engines = {"userspace": load("userspace", Switch(switch, switch, devices))}
        wiring.open_networks |= {"lan"} if journal else set()
        links = Links(wiring, devices, engines, {}, journal)
        try:
            yield links
        finally:
            await links.close()
            for node in wiring.nodes.values():
                os.close(node.network)
    finally:
        with route:
            os.close(switch)


def said_in(network, *command, check=True):
    with namespaces.inside(network):
        return subprocess.run(command, check=check, capture_output=True, text=True).stdout


def mesh(nodes):
    return [
        LinkRequest(
            source=f"n{one}",
            destination=f"n{other}",
            network="lan",
            addresses={f"n{each}": (interface(each).address,) for each in (one, other)},
            impairments=Impairments(delay_ns=1_000_000),
            later=(),
            seed=1,
            engine="auto",
            repeatable=False,
        )
        for one, other in permutations(range(nodes), 2)
    ]


def calls_to_impairments(nodes, directory):
    """Calls of functions, the kernel's among them, to give all links of a mesh their impairments."""
    calls: Counter[str] = Counter()

    def count(_frame, event, what):
        if event in ("call", "c_call"):
            calls[getattr(what, "__name__", "python")] += 1

    async def impairments():
        async with links_of(nodes, directory) as links:
            sys.setprofile(count)
            try:
                await links.impair(mesh(nodes))
            finally:
                sys.setprofile(None)

    asyncio.run(impairments())
    return calls


def test_a_link_costs_the_same_however_many_there_are(tmp_path):
    few, many = 12, 24
    cost = {nodes: calls_to_impairments(nodes, tmp_path / str(nodes)) for nodes in (few, many)}
    per_link = {nodes: calls.total() / (nodes * (nodes - 1)) for nodes, calls in cost.items()}
    assert per_link[many] < 1.1 * per_link[few]
    requests = cost[many]["send"] + cost[many]["recv"] + cost[many]["ioctl"]
    assert requests < 30 * many * (many - 1)


def test_each_direction_has_its_delay_and_nobody_asks_for_macs(tmp_path):
    async def pinged():
        async with links_of(3, tmp_path / "hosts") as links:
            await links.impair(mesh(3))
            node = links.wiring.nodes["n0"].network
            said = said_in(node, "ping", "-c3", "-i0.05", "-W5", "198.18.0.3")
            return said, json.loads(said_in(node, "ip", "-j", "neighbour"))

    said, known = asyncio.run(pinged())
    assert " 0% packet loss" in said
    assert float(said.rpartition("rtt min/avg/max/mdev = ")[2].split("/")[0]) >= 2
    assert {each["dst"]: (each["lladdr"], each["state"]) for each in known} == {
        f"198.18.0.{number}": (f"02:42:c6:12:00:{number:02x}", ["PERMANENT"]) for number in (2, 3)
    }


def test_a_link_that_a_further_node_is_to_have_passes_nothing_until_it_is_made(tmp_path):
    """Node n2 is like n1, which has links with n0; n3 is on the network, and has none."""

    async def lost():
        async with links_of(4, tmp_path / "hosts", journal=Journal.at(tmp_path / "journal")) as links:
            await links.impair(mesh(2))
            before = said_in(links.wiring.nodes["n2"].network, *PING, "198.18.0.1")
            links.extend("n1", "n2", "lan", [])
            await links.follow(links.wiring.port("n0", "lan"))
            meanwhile, bystander = (
                said_in(links.wiring.nodes[node].network, *PING, "198.18.0.1", check=False) for node in ("n2", "n3")
            )
            await links.attach(links.wiring.port("n2", "lan"))
            return before, meanwhile, bystander, said_in(links.wiring.nodes["n2"].network, *PING, "198.18.0.1")

    before, meanwhile, bystander, afterwards = asyncio.run(lost())
    assert " 0% packet loss" in before
    assert " 100% packet loss" in meanwhile
    assert " 0% packet loss" in bystander
    assert " 0% packet loss" in afterwards
    assert float(afterwards.rpartition("rtt min/avg/max/mdev = ")[2].split("/")[0]) >= 2


def test_links_that_could_not_be_made_leave_nothing_behind(tmp_path):
    """The network is of 50 links, so that the first batch is made and the second is not."""

    async def devices_left():
        async with links_of(8, tmp_path / "hosts") as links:
            wanted = mesh(8)
            taken = wanted[50]
            name = str(taken)
            links.engines["userspace"]._workers._carrier[name] = None
            with pytest.raises(LabError, match=f"{name} is impaired already"):
                await links.impair(wanted)
            del links.engines["userspace"]._workers._carrier[name]
            made = await links.statistics()
            found = json.loads(said_in(links.wiring.switch, "ip", "-j", "link"))
            await links.impair(wanted)
            return len(made), sum(each.get("ifalias", "").startswith("testbed lab-x n") for each in found)

    made, left = asyncio.run(devices_left())
    assert made == left == 32


def test_traces_of_a_link_keep_their_time_zero_when_its_port_comes_back(tmp_path):
    trace = DelaySteps(starts_ns=(0, 10**9), delays_ns=(10**6, 3 * 10**6), period_ns=2 * 10**9)
    traced = Impairments(delay_ns=trace.mean_ns, delay_trace=trace)

    async def origins():
        async with links_of(2, tmp_path) as links:
            await links.impair([msgspec.structs.replace(link, impairments=traced) for link in mesh(2)])
            await links.restart(10**9)
            await links.attach(links.wiring.port("n1", "lan"))
            return {link.counts.origin_ns for link in await links.statistics()}

    assert asyncio.run(origins()) == {10**9}
