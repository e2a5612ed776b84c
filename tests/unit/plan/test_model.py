import copy
import dataclasses
import json

import pytest

from testbed.errors import UsageError
from testbed.plan import Plan, resolve
from testbed.topology import loads

TEXT = """
name: x
nodes:
  a: {environment: {A: b}, ready: {tcp: 80}}
  b: {cpus: 0.5, command: sleep 5}
links: [{between: [a, b], profile: lte}]
workloads:
  - {name: w, kind: tcp-rr, from: a, to: b}
  - together: [{name: v, kind: ping, from: b, to: a}]
expect: [v.loss <= 5%, w.latency.p99 < 400ms]
"""


@pytest.fixture
def plan():
    return resolve(loads(TEXT, "file.yml"))


def test_a_plan_cannot_be_changed(plan):
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.seed = 1
    with pytest.raises(TypeError):
        plan.nodes[0].environment["A"] = "c"
    with pytest.raises(TypeError):
        plan.workloads[0].parameters["count"] = 1


def test_a_plan_keeps_copies_of_the_mappings_that_it_is_made_from(plan):
    environment = {"A": "b"}
    node = dataclasses.replace(plan.nodes[0], environment=environment)
    environment["A"] = "c"
    assert node.environment == {"A": "b"}


def test_a_plan_is_hashable(plan):
    assert {plan: 1}[resolve(loads(TEXT, "file.yml"))] == 1


def test_to_json_and_back(plan):
    text = json.dumps(plan.to_json())
    again = Plan.from_json(json.loads(text))
    assert again == plan
    assert again.digest == plan.digest
    assert isinstance(again.nodes[0].interfaces, tuple)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(version=9),
        lambda data: data.pop("version"),
        lambda data: data.pop("links"),
        lambda data: data.update(extra=1),
        lambda data: data["nodes"][0].update(extra=1),
        lambda data: data["nodes"][0].pop("image"),
        lambda data: data["links"][0]["impairments"].update(loss=-1),
        lambda data: data["stages"][0][0].pop("port"),
        lambda data: data["expectations"].append("u.loss <= 5%"),
    ],
)
def test_data_that_is_not_a_plan_is_refused(plan, change):
    data = copy.deepcopy(plan.to_json())
    change(data)
    with pytest.raises((ValueError, KeyError, TypeError)):
        Plan.from_json(data)


@pytest.mark.parametrize("part", ["lab", "networks", "nodes", "stages"])
def test_names_that_lead_elsewhere_are_refused(plan, part):
    data = plan.to_json() | {"expectations": []}
    if part == "lab":
        data["lab"] = "../../etc"
    else:
        named = data[part][0][0] if part == "stages" else data[part][0]
        named["name"] = "../../etc"
    with pytest.raises(UsageError, match="bad-name"):
        Plan.from_json(data)


def test_the_digest_ignores_fields_that_decide_nothing(plan):
    same = dataclasses.replace(plan.links[0], profile=None)
    for other in (
        dataclasses.replace(plan, lab="y"),
        dataclasses.replace(plan, description="y", runtime="docker"),
        dataclasses.replace(plan, links=(same, *plan.links[1:])),
        dataclasses.replace(plan, expectations=()),
        resolve(loads(TEXT, "file.yml"), lab="elsewhere"),
    ):
        assert other.digest == plan.digest


@pytest.mark.parametrize(
    "change",
    [
        "seed: 1",
        "engine: userspace",
        "networks: {lan: {mtu: 1400}}",
        "networks: {lan: {internal: false}}",
        "networks: {lan: {subnet: 198.18.7.0/24}}",
    ],
)
def test_the_digest_depends_on_decisive_fields(plan, change):
    assert resolve(loads(TEXT + change, "file.yml")).digest != plan.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A: b", "A: c"),
        ("cpus: 0.5", "cpus: 0.6"),
        ("sleep 5", "sleep 6"),
        ("tcp: 80", "tcp: 81"),
        ("profile: lte", "profile: lte, loss: 1%"),
        ("kind: ping", "kind: ping, count: 21"),
        ("from: b, to: a", "from: a, to: b"),
        ("between: [a, b]", "from: a, to: b"),
    ],
)
def test_the_digest_depends_on_every_part_of_the_file(plan, old, new):
    changed = TEXT.replace(old, new)
    assert changed != TEXT
    assert resolve(loads(changed, "file.yml")).digest != plan.digest


def test_a_given_subnet_counts_as_it_is():
    def digest(subnet):
        return resolve(loads(f"{TEXT}networks: {{lan: {{subnet: {subnet}}}}}", "file.yml")).digest

    assert digest("198.18.7.0/24") != digest("198.18.8.0/24")


def test_whether_the_seed_was_given_does_not_change_the_digest():
    plan = resolve(loads("name: x\nnodes: {a: }", "file.yml"))
    given = resolve(loads(f"name: x\nseed: {plan.seed}\nnodes: {{a: }}", "file.yml"))
    asked = resolve(loads("name: x\nnodes: {a: }", "file.yml"), seed=plan.seed)
    assert [one.seed_given for one in (plan, given, asked)] == [False, True, True]
    assert plan.digest == given.digest == asked.digest
    assert Plan.from_json(given.to_json()) == given
