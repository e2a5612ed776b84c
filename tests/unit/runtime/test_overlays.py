"""The addresses that Docker Engines take on an overlay network are no node's."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import MachineError
from testbed.plan import resolve
from testbed.runtime.docker.overlays import reserved
from testbed.topology import loads

HOSTS = "name: x\nhosts: {east: context, west: other}\n"


def planned(nodes, network="{}"):
    return resolve(loads(f"{HOSTS}networks: {{lan: {network}}}\nnodes: {{a: {{count: {nodes}}}}}\n", "x.yml"))


@given(st.integers(1, 400), st.integers(2, 20))
def test_reserved_addresses_are_enough_and_none_of_a_node(nodes, machines):
    plan = planned(nodes)
    try:
        found = reserved(plan, plan.networks[0], 2 * machines)
    except MachineError:
        assert nodes > 100  # a /24 that is nearly full
        return
    taken = {IPv4Address(node.interfaces[0].address) for node in plan.nodes} | {IPv4Address(plan.networks[0].gateway)}
    assert not taken & {*found}
    assert len({*found} - {IPv4Network(plan.networks[0].subnet).broadcast_address}) >= 2 * machines


def test_a_subnet_that_is_too_small_is_an_error():
    plan = planned(2, "{subnet: 198.18.7.0/29}")
    with pytest.raises(MachineError, match=r"subnet-too-small: network lan: 198\.18\.7\.0/29"):
        reserved(plan, plan.networks[0], 4)
