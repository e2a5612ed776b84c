"""The VXLANs that carry wires between machines: both ends of a wire get the same number and each other's address."""

import pytest

from testbed.agent.messages import Tunnel
from testbed.errors import MachineError
from testbed.plan import resolve
from testbed.runtime.swarm.machines import Machines
from testbed.runtime.swarm.tunnels import tunnels
from testbed.topology import loads

FILE = """
name: wired
hosts: {east: "unix:///e", west: "unix:///w", third: "unix:///t"}
nodes: {a: {host: east}, b: {host: west}, c: {host: third}, d: {host: east}}
links: [{wire: [a, b]}, {wire: [b, c]}, {wire: [a, d]}]
"""


def told(lab="wired", west="192.0.2.2", port=0):
    plan = resolve(loads(FILE, "x.yml"), lab=lab)
    machines = Machines.of_plan(plan)
    for name, address in {"east": "192.0.2.1", "west": west, "third": "192.0.2.3"}.items():
        is_manager = name == "third"
        cluster = {"Cluster": {"DataPathPort": port}} if is_manager else {}
        machines.by_name[name].__dict__["swarm"] = {
            "NodeAddr": address,
            "ControlAvailable": is_manager,
            **cluster,
        }
    return tunnels(machines, plan)


def test_both_ends_of_a_wire_have_one_number_and_the_address_of_the_other():
    found = told()
    number, other = found["east"]["a-b"].number, found["third"]["b-c"].number
    assert found == {
        "east": {"a-b": Tunnel(number=number, remote="192.0.2.2", port=4789)},
        "west": {
            "a-b": Tunnel(number=number, remote="192.0.2.1", port=4789),
            "b-c": Tunnel(number=other, remote="192.0.2.3", port=4789),
        },
        "third": {"b-c": Tunnel(number=other, remote="192.0.2.2", port=4789)},
    }
    assert number != other
    assert all(1 << 23 <= each < 1 << 24 for each in (number, other))  # overlay networks count from 4096 on


def test_labs_have_different_numbers_and_the_port_is_that_of_the_swarm():
    [one], [other] = (told(lab=lab, port=7789)["third"].values() for lab in ("one", "other"))
    assert one.number != other.number
    assert one.port == 7789


def test_machines_that_know_each_other_by_ipv6_are_refused():
    with pytest.raises(MachineError, match=r"knows machine west .* by 2001:db8::2, and wires between machines need"):
        told(west="2001:db8::2")
