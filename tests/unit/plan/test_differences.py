from dataclasses import replace

import pytest

from testbed.expectations import parse
from testbed.impairments import Impairments
from testbed.plan import Event, resolve
from testbed.plan.differences import are_repetitions, plan_differences
from testbed.plan.workloads import CaptureSettings
from testbed.topology import loads

FILE = """
name: lossy
networks: {wan}
nodes: {client: , server: }
links: [{from: client, to: server, delay: 20ms, loss: 2%}]
workloads: [{name: voice, kind: udp-stream, from: client, to: server, rate: 64kbit}]
"""
SHAPE = "delay 20 ms, loss 2 %"


@pytest.fixture
def plan():
    return resolve(loads(FILE.replace("{wan}", "{wan: }"), "lossy.yml"))


def test_equal_plans_do_not_differ(plan):
    assert plan_differences(plan, plan) == []


def test_a_value_that_differs(plan):
    link = replace(plan.links[0], impairments=Impairments(delay_ns=30_000_000))
    assert plan_differences(plan, replace(plan, links=(link,))) == [
        ("links.client -> server on wan.impairments", SHAPE, "delay 30 ms")
    ]


def test_an_item_that_one_plan_lacks_is_one_difference(plan):
    bare = replace(plan, links=(), stages=())
    link, voice = "links.client -> server on wan", "stages.1.voice"
    assert plan_differences(plan, bare) == [(link, SHAPE, "absent"), (voice, "udp-stream", "absent")]
    assert plan_differences(bare, plan) == [(link, "absent", SHAPE), (voice, "absent", "udp-stream")]


def test_derived_seeds_are_not_listed_beside_the_plans_seed(plan):
    link = replace(plan.links[0], seed=3)
    assert plan_differences(plan, replace(plan, seed=8, links=(link,))) == [("seed", f"{plan.seed}", "8")]
    assert [where for where, *_ in plan_differences(plan, replace(plan, links=(link,)))] == [
        "links.client -> server on wan.seed"
    ]


SAME = {
    "lab": lambda plan: replace(plan, lab="other"),
    "description": lambda plan: replace(plan, description="other"),
    "runtime": lambda plan: replace(plan, runtime="docker"),
    "seed_given": lambda plan: replace(plan, seed_given=True),
    "capture": lambda plan: replace(plan, capture=CaptureSettings(nodes=("client",))),
    "sockets": lambda plan: replace(plan, sockets=("client",)),
    "expectations": lambda plan: replace(plan, expectations=(parse("voice.loss < 5%", {"voice": "udp-stream"}),)),
    "profile": lambda plan: replace(plan, links=(replace(plan.links[0], profile="lossy"),)),
    "timeline, empty": lambda plan: replace(plan, timeline=()),
}
OTHER = {
    "topology": lambda plan: replace(plan, topology="other"),
    "mtu": lambda plan: replace(plan, networks=(replace(plan.networks[0], mtu=1400),)),
    "timeline": lambda plan: replace(plan, timeline=(Event(at_ns=1, what="x", changes=()),)),
    "given subnet": lambda plan: replace(plan, networks=(replace(plan.networks[0], allocated=False),)),
    "position of an address": lambda plan: replace(plan, stages=((replace(plan.workloads[0], address="10.0.0.1"),),)),
    "parameters": lambda plan: replace(
        plan, stages=((replace(plan.workloads[0], parameters={**plan.workloads[0].parameters, "rate_bps": 1}),),)
    ),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_fields_that_decide_nothing_are_in_neither_digest_nor_differences(plan, change):
    other = change(plan)
    assert other.digest == plan.digest
    assert plan_differences(plan, other) == []
    assert are_repetitions(plan, other)


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_decisive_fields_are_in_digest_and_differences(plan, change):
    other = change(plan)
    assert other.digest != plan.digest
    assert plan_differences(plan, other)
    assert not are_repetitions(plan, other)


def test_plans_that_differ_in_seeds_and_in_captures_are_repetitions(plan):
    other = replace(plan, seed=8, links=(replace(plan.links[0], seed=3),), capture=CaptureSettings(nodes=("server",)))
    assert other.digest != plan.digest
    assert are_repetitions(plan, other)
