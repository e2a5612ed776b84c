"""What both runtimes promise of labs' networks: from nodes nothing is reached but the lab, unless the file says so."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest

from testbed.lab import Lab, find
from testbed.topology import loads
from tests.runtimes import RUNTIMES

TOPOLOGY = """
name: apart
networks: {lan: {ip: both}}
nodes:
  a: {networks: [lan]}
  b: {networks: [lan], command: [python3, -m, http.server, "PORT", --bind, "::"], ready: {tcp: PORT, timeout: 60s}}
"""
REACHED = """
import concurrent.futures, socket, sys
def reaches(place):
    address, _, scope = place.partition("%")
    try:
        place = socket.getaddrinfo(place, int(sys.argv[1]), type=socket.SOCK_STREAM)[0][4]
        socket.create_connection(place[:2] if not scope else (f"{address}%{scope}", int(sys.argv[1])), 3).close()
    except OSError:
        return False
    return True
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print(*(place for place, reached in zip(sys.argv[2:], pool.map(reaches, sys.argv[2:])) if reached))
"""


def reached(lab, node, port, places):
    """Those of the addresses at which a node gets a TCP connection."""
    done = lab[node].run(["python3", "-c", REACHED, str(port), *places], timeout=120)
    assert done.status == 0, done.stderr
    return done.stdout.split()


def of_this_machine():
    """All of its addresses, as ip(8) says; those of one link by way of the node's interface."""
    said = subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout
    for device in json.loads(said):
        for each in device.get("addr_info", ()):
            address = each["local"]
            if not address.startswith("127.") and address != "::1":
                yield f"{address}%eth0" if address.startswith("fe80:") else address


def addresses(lab, node):
    return [each for one in lab.plan.node(node).interfaces for each in (one.address, one.address6) if each]


@pytest.mark.live
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_neither_this_machine_nor_another_lab_is_reached_by_either_family(lab_name, runtime):
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as service:
        port = service.getsockname()[1]
        topology = loads(TOPOLOGY.replace("PORT", str(port)), "apart.yml")
        other_name = f"{lab_name}-2"
        try:
            with (
                Lab.up(topology, name=lab_name, runtime=runtime) as lab,
                Lab.up(topology, name=other_name, runtime=runtime) as other,
            ):
                own, others = addresses(lab, "b"), addresses(other, "b")
                assert len(own) == len({*own, *others}) / 2 == 2  # of both families
                assert sorted(reached(lab, "a", port, own)) == sorted(own)  # the lab itself is
                assert reached(other, "a", port, others) == others
                machine = [*of_this_machine()]
                assert any("%" in each for each in machine)
                assert reached(lab, "a", port, [*others, *machine]) == []
                with pytest.raises(OSError, match=r"timed out|refused|unreachable|[Nn]o route"):
                    socket.create_connection((own[0], port), 2)
        finally:
            if left := find(other_name):
                left.down(other_name)
