"""Nodes that the agent makes, in namespaces of this machine."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from testbed.agent import creation
from testbed.agent.messages import NewInterface, NewNetwork, NewNode
from testbed.agent.netlink import RouteSocket
from testbed.agent.nodes import LabFile, addresses_of
from testbed.agent.wiring import Wiring
from testbed.linux import namespaces

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces")


def new_node(number):
    octets = f"{number >> 8}.{number & 255}"
    interface = NewInterface(
        network="lan",
        name="eth0",
        address=f"198.18.{octets}",
        prefix_length=16,
        mac=f"02:42:c6:12:{number >> 8:02x}:{number & 255:02x}",
    )
    return NewNode(
        name=f"n{number}",
        sysctls={"net.ipv4.conf.all.rp_filter": "2"},
        environment={},
        hosts="127.0.0.1 localhost\n",
        others=0,
        directory="/",
        interfaces=(interface,),
    )


@pytest.fixture
def created(tmp_path):
    """Makes a lab of so many nodes on one network, which ends with the test; `counted` is called before and after."""
    opened = []

    def create(nodes, counted=lambda: None):
        switch = namespaces.new_network()
        with namespaces.inside(switch):
            route = RouteSocket()
        wiring = Wiring(switch, route)
        opened.append(wiring)
        wanted = [new_node(number) for number in range(2, nodes + 2)]
        others = ["".join(f"198.18.0.{number} n{number}\n" for number in range(2, nodes + 2))]
        counted()
        creation.create(wiring, [NewNetwork(name="lan", mtu=1500)], wanted, others, tmp_path / "hosts")
        counted()
        return wiring

    yield create
    for wiring in opened:
        for node in wiring.nodes.values():
            os.close(node.network)
        wiring.main.close()


@needs_root
def test_a_node_costs_the_same_however_many_there_are(created):
    def cost(nodes):
        calls: Counter[str] = Counter()

        def count(_frame, event, what):
            if event in ("call", "c_call"):
                calls[getattr(what, "__name__", "python")] += 1

        def counted():
            sys.setprofile(None if sys.getprofile() else count)

        created(nodes, counted)
        return calls

    few, many = cost(20), cost(100)
    assert many.total() / 100 < 1.1 * few.total() / 20
    assert many["send"] + many["recv"] < 5 * 100


@needs_root
def test_a_node_has_its_address_its_settings_and_no_ipv6(created):
    node = created(70).nodes["n71"]  # beyond those that share an instance of procfs
    assert [each.address for each in addresses_of(node)] == ["198.18.0.71"]
    with namespaces.inside(node.network):
        settings = ("ipv4/conf/all/rp_filter", "ipv6/conf/all/disable_ipv6", "ipv6/conf/eth0/disable_ipv6")
        found = [Path("/proc/sys/net", name).read_text("ascii").strip() for name in settings]
    assert found == ["2", "1", "1"]


@needs_root
def test_a_hosts_file_is_written_when_it_is_needed_and_leaves_the_node_itself_to_its_own_lines(created):
    hosts = created(3).nodes["n3"].hosts
    assert not hosts.path.exists()
    hosts.write()
    assert hosts.path.read_text("utf-8") == "127.0.0.1 localhost\n198.18.0.2 n2\n198.18.0.4 n4\n"


def test_what_a_node_has_changed_in_its_hosts_file_stays(tmp_path):
    file = LabFile(tmp_path / "a", "127.0.0.1 localhost\n", "198.18.0.2 a\n198.18.0.3 ba\n", "a")
    file.write()
    file.path.write_text("198.18.0.9 other\n", "utf-8")
    file.write()
    assert file.path.read_text("utf-8") == "198.18.0.9 other\n"
