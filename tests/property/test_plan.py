import json
from collections import Counter
from ipaddress import IPv4Address, IPv4Network

import yaml
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from testbed.errors import MachineError
from testbed.families import POOL
from testbed.plan import Plan, relocate, resolve
from testbed.topology import loads

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
SHAPES = st.fixed_dictionaries(
    {},
    optional={
        "delay": st.integers(0, 10**6).map("{}us".format),
        "loss": st.integers(0, 100).map("{}%".format),
        "rate": st.integers(1, 10**6).map("{}kbit".format),
        "profile": st.sampled_from(["lte", "lossy", "wifi"]),
    },
)


@st.composite
def files(draw):
    """A valid topology file's data."""
    networks = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    nodes = draw(st.lists(NAMES, min_size=2, max_size=8, unique=True))
    on = {node: draw(st.lists(st.sampled_from(networks), min_size=1, unique=True)) for node in nodes}
    pairs = [(a, b, n) for a in nodes for b in nodes for n in networks if a < b and n in on[a] and n in on[b]]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=5)) if pairs else []
    return {
        "name": draw(NAMES),
        "networks": dict.fromkeys(networks),
        "nodes": {node: {"networks": names} for node, names in on.items()},
        "links": [{"between": [a, b], "network": n, **draw(SHAPES), "jitter": "0"} for a, b, n in chosen],
        "workloads": [
            {"name": f"w{i}", "kind": "ping", "from": a, "to": b, "network": n} for i, (a, b, n) in enumerate(chosen)
        ],
    }


TAKEN = st.lists(
    st.tuples(st.integers(16, 28), st.integers(0, 2**17 - 1)).map(
        lambda drawn: IPv4Network((int(POOL.network_address) + drawn[1], drawn[0]), strict=False)
    ),
    max_size=8,
)


def plan(data, *, taken=(), **options):
    return relocate(resolve(loads(yaml.safe_dump(data, sort_keys=False), "file.yml"), **options), taken)


@given(files(), NAMES, TAKEN)
def test_addresses(data, lab, taken):
    try:
        made = plan(data, lab=lab, taken=taken)
    except MachineError:
        reject()
    subnets = {network.name: IPv4Network(network.subnet) for network in made.networks}
    for name, subnet in subnets.items():
        assert subnet.subnet_of(POOL)
        assert not any(subnet.overlaps(other) for other in taken)
        assert not any(subnet.overlaps(other) for other_name, other in subnets.items() if other_name != name)
    interfaces = [interface for node in made.nodes for interface in node.interfaces]
    assert len({one.address for one in interfaces}) == len(interfaces) == len({one.mac for one in interfaces})
    gateways = {network.gateway for network in made.networks}
    for one in interfaces:
        subnet = subnets[one.network]
        assert IPv4Address(one.address) in subnet
        assert one.prefix_length == subnet.prefixlen
        assert IPv4Address(one.address) not in (subnet[0], subnet[-1])
        assert one.address not in gateways
    for workload in made.workloads:
        assert workload.address in [one.address for one in made.node(workload.destination).interfaces]
    assert all(count == 1 for count in Counter(workload.port for workload in made.workloads).values())


@given(files())
def test_the_same_text_is_the_same_plan(data):
    assert plan(data) == plan(data)
    assert hash(plan(data)) == hash(plan(data))
    assert plan(data).digest == plan(data).digest


@given(files(), NAMES, TAKEN, st.sampled_from(["docker", "netns"]))
def test_lab_name_subnets_in_use_runtime_and_description_do_not_change_the_digest(data, lab, taken, runtime):
    try:
        other = plan({**data, "description": "other"}, lab=lab, taken=taken, runtime=runtime)
    except MachineError:
        reject()
    assert other.digest == plan(data).digest


@given(files(), st.data())
def test_any_change_of_impairments_changes_the_digest(data, draw):
    assume(data["links"])
    changed = {**data, "links": [dict(link) for link in data["links"]]}
    link = draw.draw(st.sampled_from(changed["links"]))
    link["delay"] = draw.draw(st.integers(1, 10**6).map("{}us".format))
    assume([one.impairments for one in plan(data).links] != [one.impairments for one in plan(changed).links])
    assert plan(changed).digest != plan(data).digest


@given(files(), st.randoms())
def test_the_seed_of_a_link_does_not_depend_on_the_order_of_links(data, random):
    def seeds(made):
        return {(link.source, link.destination, link.network): link.seed for link in made.links}

    shuffled = {**data, "links": random.sample(data["links"], len(data["links"]))}
    assert seeds(plan(shuffled)) == seeds(plan(data))


@given(files())
def test_to_json_and_back(data):
    made = plan(data)
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made
