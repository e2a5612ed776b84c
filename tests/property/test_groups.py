"""A file with groups is the same plan as the file with each member written out."""

from itertools import product
from typing import Any

import yaml
from hypothesis import given, reject
from hypothesis import strategies as st

from testbed.plan import resolve
from testbed.topology import TopologyError, loads

COUNTS = st.dictionaries(st.sampled_from(["app", "db", "user"]), st.sampled_from([None, 1, 2, 3]), min_size=2)
MATCHES = st.sampled_from([None, {"protocol": "icmp"}, {"protocol": "udp", "port": 53}, {"dscp": "EF"}])


def members(name, counts):
    """The nodes that a name of the file stands for, by what topologies/README.md says."""
    return [f"{name}-{number}" for number in range(1, counts[name] + 1)] if counts.get(name) else [name]


def directions(entry):
    if "from" in entry:
        return [(entry["from"], entry["to"])]
    return list(dict.fromkeys([tuple(entry["between"]), tuple(reversed(entry["between"]))]))


@st.composite
def files(draw):
    """How many nodes each name is (None: one node that is no group), and the entries of links and workloads."""
    counts = draw(COUNTS)
    names = [*counts, *(member for name in counts if counts[name] for member in members(name, counts))]
    expanded = {name: members(name, counts) for name in names}
    pairs = [(one, other) for one, other in product(names, names) if len({*expanded[one], *expanded[other]}) > 1]
    links = []
    for source, destination in draw(st.lists(st.sampled_from(pairs), max_size=8)):
        both = draw(st.booleans())
        ends = {"between": [source, destination]} if both else {"from": source, "to": destination}
        match = draw(MATCHES)
        links.append({**ends, "delay": f"{draw(st.integers(1, 99))}ms", **({"match": match} if match else {})})
    workloads = [
        {"name": f"w{number}", "kind": "ping", "from": source, "to": destination}
        for number, (source, destination) in enumerate(draw(st.lists(st.sampled_from(pairs), max_size=3)))
    ]
    return counts, links, workloads


def written_out(counts, links, workloads):
    """The same file without groups: each link by itself, each workload of a member by itself."""
    best: dict[Any, Any] = {}
    for link in links:
        match = link.get("match")
        for source, destination in directions(link):
            groups = sum(bool(counts.get(name)) for name in (source, destination))
            rank = (-groups, "from" in link)
            for sender, receiver in product(members(source, counts), members(destination, counts)):
                key = (sender, receiver, str(match))
                if sender != receiver and (key not in best or rank > best[key][0]):
                    rest = {name: value for name, value in link.items() if name in {"delay", "match"}}
                    best[key] = rank, {"from": sender, "to": receiver, **rest}
    stages = []
    for workload in workloads:
        made = []
        ends = workload["from"], workload["to"]
        for nodes in product(*(members(end, counts) for end in ends)):
            if nodes[0] != nodes[1]:
                named = [node for node, end in zip(nodes, ends, strict=True) if counts.get(end)]
                name = "-".join([workload["name"], *named])
                made.append({**workload, "name": name, "from": nodes[0], "to": nodes[1]})
        stages.append({"together": made})
    alone = dict.fromkeys(member for name in counts for member in members(name, counts))
    return {"name": "x", "nodes": alone, "links": [link for _, link in best.values()], "workloads": stages}


def planned(data):
    return resolve(loads(yaml.safe_dump(data, sort_keys=False), "file.yml"))


@given(files())
def test_a_file_with_groups_is_the_plan_of_the_file_without(file):
    counts, links, workloads = file
    nodes = {name: {"count": count} if count else None for name, count in counts.items()}
    try:
        grouped = planned({"name": "x", "nodes": nodes, "links": links, "workloads": workloads})
    except TopologyError as refused:
        if {problem.code for problem in refused.problems} <= {"duplicate-link", "unreachable-match"}:
            reject()
        raise
    single = planned(written_out(counts, links, workloads))
    assert grouped.links == single.links
    assert [work.name for work in grouped.workloads] == [work.name for work in single.workloads]
    assert grouped.digest == single.digest
