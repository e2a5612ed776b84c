"""The timeline of a plan: what links are in it, and what of it decides."""

import json
from dataclasses import replace

from testbed.matching import LinkKey
from testbed.plan import Plan, resolve
from testbed.topology import loads

TEXT = """name: x
seed: 7
engine: netem
nodes: {a: , b: , c: }
links: [{from: a, to: b, delay: 20ms}]
workloads: [{name: voice, kind: udp-stream, from: a, to: b, duration: 10s}]
timeline:
"""


def planned(*events):
    return resolve(loads(TEXT + "".join(f"  - {event}\n" for event in events), "file.yml"))


PLAN = planned("{at: 2s, heal: all}", "{at: 1s, partition: [[a], [b]]}")


def test_events_are_in_the_order_of_time():
    assert [(event.at_ns, event.what) for event in PLAN.timeline] == [
        (1_000_000_000, "partition a | b"),
        (2_000_000_000, "heal all"),
    ]


def test_a_link_that_is_perfect_at_first_is_impaired_too_and_as_random_as_it_would_be():
    one, other = PLAN.links
    assert (one.key, other.key) == (LinkKey("a", "b", "lan"), LinkKey("b", "a", "lan"))
    assert other.impairments.is_clear
    assert other.engine == "netem"
    text = TEXT.replace("from: a, to: b, delay", "from: b, to: a, delay").replace("timeline:\n", "")
    [asked] = resolve(loads(text, "file.yml")).links
    assert other.seed == asked.seed


def test_all_impairments_of_a_link():
    assert [impairments.describe() for impairments in PLAN.all_impairments()[LinkKey("a", "b", "lan")]] == [
        "delay 20 ms",
        "delay 20 ms, loss 100 %",
    ]
    assert [impairments.describe() for impairments in PLAN.all_impairments()[LinkKey("b", "a", "lan")]] == [
        "clear",
        "loss 100 %",
    ]
    assert LinkKey("b", "c", "lan") not in PLAN.all_impairments()


def test_a_change_to_the_present_value_changes_nothing():
    plan = planned("{at: 1s, link: {from: a, to: b}, delay: 20ms}", "{at: 1s, link: {from: b, to: a}, loss: 0}")
    assert [event.changes for event in plan.timeline] == [(), ()]
    assert len(plan.links) == 1


def test_it_is_read_back_from_json():
    assert Plan.from_json(json.loads(json.dumps(PLAN.to_json()))) == PLAN


def test_a_plan_written_before_there_were_timelines_is_read_and_has_its_digest():
    plan = replace(PLAN, timeline=())
    old = plan.to_json()
    del old["timeline"]
    assert Plan.from_json(old) == plan
    assert Plan.from_json(old).digest == plan.digest


def test_the_timeline_is_part_of_the_digest_but_its_descriptions_are_not():
    other_time = planned("{at: 3s, heal: all}", "{at: 1s, partition: [[a], [b]]}")
    other_words = planned("{at: 2s, heal: {between: [a, b]}}", "{at: 1s, link: {between: [a, b]}, blackhole: true}")
    assert len({PLAN.digest, other_time.digest, replace(PLAN, timeline=()).digest}) == 3
    assert other_words.digest == PLAN.digest
