from dataclasses import replace

from testbed.results.plan_differences import plan_differences
from testbed.shape import Shape


def test_equal_plans_do_not_differ(plan):
    assert plan_differences(plan, plan) == []


def test_a_value_that_differs(plan):
    link = replace(plan.links[0], shape=Shape(delay_ns=30_000_000))
    assert plan_differences(plan, replace(plan, links=(link,))) == [
        ("links.client -> server on wan.shape", "delay 20 ms, loss 1.99999998 %", "delay 30 ms")
    ]


def test_what_one_plan_has_not_is_one_difference(plan):
    bare = replace(plan, links=(), stages=())
    link, voice = "links.client -> server on wan", "stages.1.voice"
    shape = "delay 20 ms, loss 1.99999998 %"
    assert plan_differences(plan, bare) == [(link, shape, "absent"), (voice, "udp-stream", "absent")]
    assert plan_differences(bare, plan) == [(link, "absent", shape), (voice, "absent", "udp-stream")]


def test_seeds_that_come_from_the_plans_seed_are_not_told_beside_it(plan):
    link = replace(plan.links[0], seed=3)
    assert plan_differences(plan, replace(plan, seed=8, links=(link,))) == [("seed", "7", "8")]
    assert [where for where, *_ in plan_differences(plan, replace(plan, links=(link,)))] == [
        "links.client -> server on wan.seed"
    ]
