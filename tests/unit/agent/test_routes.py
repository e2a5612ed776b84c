"""Next hops as the kernel of a network namespace has them."""

import os
import subprocess

import pytest

from testbed.agent import routes
from testbed.agent.nodes import NodeNamespaces
from testbed.linux import namespaces

SETUP = """
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0
ip link add eth0 type veth peer name far
ip link set eth0 up
ip link set far up
ip address add 198.18.0.1/24 dev eth0
ip address add 2001:2:0:1::1/64 dev eth0 nodad
ip route add 198.18.7.0/24 via 198.18.0.2
ip route add 2001:2:0:7::/64 via fe80::2 dev eth0
ip route add 2001:2:0:8::/64 nexthop via fe80::2 dev eth0 nexthop via fe80::3 dev eth0
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make namespaces")
def test_next_hops_of_both_families():
    network = namespaces.new_network()
    try:
        with namespaces.inside(network):
            subprocess.run(["sh", "-e", "-c", SETUP], check=True)
        asked = ("198.18.7.9", "198.18.0.9", "198.19.0.1", "2001:2:0:7::9", "2001:2:0:1::9", "2001:2:0:9::1")
        assert routes.next_hops(NodeNamespaces(name="router", network=network), asked) == {
            "198.18.7.9": ("198.18.0.2",),
            "198.18.0.9": (),
            "198.19.0.1": (),
            "2001:2:0:7::9": ("fe80::2",),
            "2001:2:0:1::9": (),
            "2001:2:0:9::1": (),
        }
        (several,) = routes.next_hops(NodeNamespaces(name="router", network=network), ["2001:2:0:8::9"]).values()
        assert {*several} == {"fe80::2", "fe80::3"}
    finally:
        os.close(network)
