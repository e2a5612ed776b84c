from ipaddress import IPv4Network

import pytest

from testbed.errors import MachineError
from testbed.plan import relocate, resolve
from testbed.topology import loads

TEXT = """
name: x
networks: {near: , far: {subnet: 198.19.7.0/24}}
nodes: {a: {networks: [near]}, b: {networks: [near, far]}, c: {networks: [far]}}
links: [{between: [a, b], delay: 5ms}]
workloads:
  - {name: one, kind: ping, from: a, to: b}
  - {name: two, kind: ping, from: b, to: c}
"""


@pytest.fixture
def plan():
    return resolve(loads(TEXT, "file.yml"))


def subnet(plan, number):
    return IPv4Network(plan.networks[number].subnet)


def test_a_plan_whose_subnets_are_free_stays_as_it_is(plan):
    assert relocate(plan, [IPv4Network("10.0.0.0/8")]) == plan


def test_allocated_subnets_move_as_a_whole(plan):
    moved = relocate(plan, [subnet(plan, 0)])
    assert moved.digest == plan.digest
    assert not subnet(moved, 0).overlaps(subnet(plan, 0))
    assert moved.workloads[0].address == moved.node("b").on("near").address
    assert moved.workloads[1] == plan.workloads[1]


def test_allocated_subnets_do_not_move_onto_fixed_ones(plan):
    pool = IPv4Network("198.18.0.0/15")
    *others, last = (one for one in pool.subnets(new_prefix=24) if one != subnet(plan, 1))
    assert subnet(relocate(plan, others), 0) == last


def test_fixed_subnets_do_not_move(plan):
    with pytest.raises(MachineError, match=r"network far: 198\.19\.7\.0/24"):
        relocate(plan, [IPv4Network("198.19.0.0/16")])
