"""Every fault of a file, at its place, in our words."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from testbed import units
from testbed.errors import UsageError
from testbed.impairments import (
    IndependentLoss,
)
from testbed.topology import Topology, TopologyError, load, loads

HEAD = "name: x\nnodes: {client: , server: }\n"
TWO = "name: x\nnetworks: {wan: , lan: }\nnodes: {client: {networks: [wan, lan]}, server: {networks: [lan, wan]}}\n"


def faults(text):
    with pytest.raises(TopologyError) as raised:
        loads(text, "file.yml")
    return raised.value.problems


def fault(text):
    [problem] = faults(text)
    return problem


def test_the_shortest_file():
    topology = loads("name: x\nnodes: {a: }", "file.yml")
    assert isinstance(topology, Topology)
    assert list(topology.networks) == ["lan"]
    assert list(topology.attachments("a")) == ["lan"]


def test_an_unknown_node_is_an_error_with_place_and_nearest_name():
    text = 'name: lossy\nnodes: {client: , server: }\nlinks:\n  - {delay: 40ms, between: [client, "sevrer"]}\n'
    assert str(fault(text)) == (
        'file.yml:4:37: unknown-node: links[0].between[1] names "sevrer", which is not a node\n'
        '  hint: did you mean "server"? nodes are: client, server'
    )


@pytest.mark.parametrize(
    ("lines", "place", "code", "words"),
    [
        ("descripton: a", (3, 1), "unknown-key", ['"descripton"', 'did you mean "description"?']),
        ("seed: on", (3, 7), "wrong-type", ['seed is "on"', "whole number"]),
        ("seed: 1e3", (3, 7), "wrong-type", ["seed is 1e3"]),
        ("seed: -1", (3, 7), "out-of-range", ["at least 0"]),
        ("seed:", (3, 6), "no-value", ["seed has no value"]),
        ("runtime: dokcer", (3, 10), "unknown-value", ['did you mean "docker"?', "auto, docker, netns"]),
        ("networks: {lan: {mtu: 20}}", (3, 23), "out-of-range", ["networks.lan.mtu is 20", "at least 576"]),
        ("networks: {lan: {mtu: '1500'}}", (3, 23), "wrong-type", ['is "1500"', "whole number"]),
        ("networks: {lan: {internal: no}}", (3, 28), "wrong-type", ['is "no"', "true or false"]),
        ("networks: {}", (3, 11), "wrong-length", ["0 entries", "at least 1"]),
        ("networks: {Lan: }", (3, 12), "bad-name", ['"Lan"', "lower-case"]),
        ("networks: {lan: {subnet: 198.18.7.1/24}}", (3, 26), "bad-value", ["has host bits set"]),
        ("networks: {lan: {subnet: 198.18.7.0/30}}", (3, 26), "bad-value", ["prefix of 8 to 29 bits"]),
        ("networks: {lan: {subnet: 224.0.0.0/24}}", (3, 26), "bad-value", ["no node can have"]),
        ("links: {}", (3, 8), "wrong-type", ["links is a mapping", "must be a list"]),
        ("links: [a]", (3, 9), "wrong-type", ['links[0] is "a"', "must be a mapping"]),
        ("links: [{between: [client]}]", (3, 19), "wrong-length", ["1 entry", "at least 2"]),
        ("links: [{between: client}]", (3, 19), "wrong-type", ["must be a list"]),
        ("links: [{from: client}]", (3, 9), "missing-key", ['links[0] lacks "to"', "it is the client uplink"]),
        ("links: [{between: [client, server], from: a}]", (3, 37), "unknown-key", ['has no key "from"']),
        ("links: [{between: [client, client]}]", (3, 9), "same-node", ["to itself"]),
        ("links: [{between: [client, server], network: wan}]", (3, 46), "unknown-network", ["lan"]),
        ("links: [{between: [client, server], delay: 40}]", (3, 44), "bad-value", ['"40" has no unit', "like 40ms"]),
        ("links: [{between: [client, server], delay: [4]}]", (3, 44), "wrong-type", ["is a list, must be a duration"]),
        ("links: [{between: [client, server], loss: 0.02}]", (3, 43), "bad-value", ['"0.02" has no unit', "2%"]),
        ("links: [{between: [client, server], loss: 101%}]", (3, 43), "bad-value", ["more than 100 %"]),
        ("links: [{between: [client, server], loss: }]", (3, 42), "no-value", ["loss has no value"]),
        ("links: [{between: [client, server], profile: let}]", (3, 46), "unknown-profile", ['did you mean "lte"?']),
        ("links: [{between: [client, server], jitter: 4ms}]", (3, 45), "jitter-exceeds-delay", ["4 ms", "0 ns"]),
        ("links: [{between: [client, server], queue: 1bdp}]", (3, 44), "queue-without-rate", ["give a rate"]),
        ("links: [{between: [client, server], rate: 1mbit, queue: 1}]", (3, 57), "bad-value", ["100 packets"]),
        ("links: [{between: [client, server], rate: 1mbit, queue: 0KB}]", (3, 57), "bad-value", ["must be more"]),
        ("links: [{between: [client, server], rate: 1mbit, queue: 1KB}]", (3, 57), "queue-too-small", ["1514 B"]),
        ("links: [{between: [client, server], rate: 1mbit, queue: 1ms}]", (3, 57), "queue-too-small", ["125 B"]),
        ("workloads: [{}]", (3, 13), "missing-key", ['lacks "kind"', "tcp-stream"]),
        ("workloads: [{kind: [1]}]", (3, 20), "unknown-kind", ["kind is a list"]),
        ("workloads: [{kind: tcp-steam}]", (3, 20), "unknown-kind", ['did you mean "tcp-stream"?']),
        ("workloads: [3]", (3, 13), "wrong-type", ["workloads[0] is 3, must be a mapping"]),
        ("workloads: [{together: []}]", (3, 24), "wrong-length", ["together has 0 entries"]),
        ("expekt: []", (3, 1), "unknown-key", ['has no key "expekt"', 'did you mean "expect"?']),
        ("expect: voice.loss <= 5%", (3, 9), "wrong-type", ["expect is", "must be a list"]),
        ("expect: [{a: b}]", (3, 10), "wrong-type", ["expect[0] is a mapping, must be an expectation"]),
        ("expect: [5]", (3, 10), "bad-expectation", ["expect[0] has no metric on its left side"]),
        ("expect: [voice.loss <= 5%]", (3, 10), "unknown-workload", ['names "voice"', "workloads are: none"]),
    ],
)  # fmt: skip
def test_a_fault_is_one_error_at_its_place(lines, place, code, words):
    problem = faults(HEAD + lines + "\n")[0]
    assert ((problem.line, problem.column), problem.code) == (place, code)
    for word in words:
        assert word in str(problem)


@pytest.mark.parametrize(
    ("keys", "column", "code", "words"),
    [
        ("kind: ping", 0, None, []),
        ("kind: tcp-stream, duration: 3s, bytes: 1MB", 40, "conflicting-keys", ["beside duration"]),
        ("kind: tcp-stream, duration: 0", 29, "bad-value", ["at least 1 ns"]),
        ("kind: tcp-rr, connect: always", 24, "unknown-value", ["once, each"]),
        ("kind: tcp-rr, count: 0", 22, "out-of-range", ["at least 1"]),
        ("kind: udp-stream, size: 8B", 25, "bad-value", ["at least 16 B"]),
        ("kind: udp-stream, size: 65508B", 25, "bad-value", ["at most 65.507 KB"]),
        ("kind: udp-stream, count: 3", 19, "unknown-key", ["rate, size, duration"]),
        ("kind: tcp-stream, congestion: Cubic!", 31, "bad-value", ["like cubic"]),
    ],
)
def test_workloads(keys, column, code, words):
    text = f"{HEAD}workloads:\n  - {{name: w, from: client, to: server,\n{keys}}}\n"
    if code is None:
        loads(text, "file.yml")
        return
    problem = fault(text)
    assert (problem.line, problem.column, problem.code) == (5, column, code)
    for word in words:
        assert word in str(problem)


def test_together_stands_alone():
    problem = fault(f"{HEAD}workloads: [{{together: [{{name: a, kind: ping, from: client, to: server}}], name: a}}]\n")
    assert (problem.line, problem.column, problem.code) == (3, 75, "unknown-key")
    assert "keys are: together" in problem.hint


def test_all_faults_at_once_in_the_order_of_the_file():
    text = """\
name: Lossy
nodes:
  client: {networks: [lam]}
  server: {cpus: half, memory: 1}
links:
  - {between: [client, sevrer], delay: 40, loss: 2}
  - {from: server, to: client, profile: nope}
workloads:
  - {name: a, kind: ping, from: server, to: cleint, count: x}
  - {name: a, kind: ping, from: server, to: client}
name: again
"""
    assert [(problem.line, problem.column, problem.code) for problem in faults(text)] == [
        (1, 7, "bad-name"),
        (3, 23, "unknown-network"),
        (4, 18, "bad-value"),
        (4, 32, "bad-value"),
        (6, 24, "unknown-node"),
        (6, 40, "bad-value"),
        (6, 50, "bad-value"),
        (7, 5, "no-shared-network"),
        (7, 41, "unknown-profile"),
        (9, 45, "unknown-node"),
        (9, 60, "wrong-type"),
        (10, 5, "no-route"),
        (10, 12, "duplicate-name"),
        (11, 1, "duplicate-key"),
    ]


def test_nodes_that_share_several_networks():
    text = TWO + "links: [{between: [client, server]}]\nworkloads: [{name: a, kind: ping, from: client, to: server}]\n"
    assert [(problem.line, problem.code) for problem in faults(text)] == [(4, "missing-key"), (5, "missing-key")]
    assert "networks that client and server share are: wan, lan" in faults(text)[0].hint


def test_a_node_says_which_of_several_networks_it_is_on():
    problem = fault("name: x\nnetworks: {wan: , lan: }\nnodes: {client: }\n")
    assert (problem.line, problem.column, problem.code) == (3, 16, "missing-key")


def test_two_equally_specific_links_name_each_other():
    text = HEAD + "links:\n- {between: [client, server], loss: 1%}\n- {between: [server, client], loss: 2%}\n"
    problem = fault(text)
    assert (problem.line, problem.code) == (5, "duplicate-link")
    assert "links[0] at line 4" in problem.message


def test_a_direction_and_a_pair_are_not_equally_specific():
    text = HEAD + "links:\n- {between: [client, server], loss: 1%}\n- {from: server, to: client, loss: 2%}\n"
    assert len(loads(text, "file.yml").links) == 2


def test_the_same_direction_on_another_network_is_another_link():
    pair = "- {between: [client, server], network: "
    assert len(loads(f"{TWO}links:\n{pair}wan}}\n{pair}lan}}\n", "file.yml").links) == 2


@pytest.mark.parametrize(
    ("networks", "server", "code"),
    [
        ("{lan: {subnet: 198.18.7.0/24}}", "198.18.8.1", "address-outside-subnet"),
        ("{lan: {subnet: 198.18.7.0/24}}", "198.18.7.1", "address-taken"),
        ("{lan: {subnet: 198.18.7.0/24}}", "198.18.7.255", "address-taken"),
        ("{lan: {subnet: 198.18.7.0/24}}", "198.18.7.9", "address-taken"),
        ("{lan: }", "198.18.8.10", "address-outside-subnet"),
        ("{lan: }", "198.18.7.300", "bad-value"),
    ],
)
def test_addresses(networks, server, code):
    client = "client: {networks: {lan: {address: 198.18.7.9}}}"
    text = (
        f"name: x\nnetworks: {networks}\nnodes:\n  {client}\n  server: {{networks: {{lan: {{address: {server}}}}}}}\n"
    )
    problem = fault(text)
    assert (problem.line, problem.column, problem.code) == (5, 38, code)


def test_subnets_that_overlap():
    text = "name: x\nnetworks: {a: {subnet: 198.18.0.0/16}, b: {subnet: 198.18.7.0/24}}\nnodes: {n: {networks: [a]}}\n"
    problem = fault(text)
    assert (problem.line, problem.column, problem.code) == (2, 52, "subnet-overlap")


def test_more_nodes_than_addresses():
    nodes = ", ".join(f"n{index}: " for index in range(6))
    problem = fault(f"name: x\nnetworks: {{lan: {{subnet: 198.18.7.0/29}}}}\nnodes: {{{nodes}}}\n")
    assert problem.code == "subnet-full"
    assert "has 6 nodes, and 198.18.7.0/29 has room for 5" in problem.message


def test_values_of_a_node():
    text = """\
name: x
nodes:
  a:
    networks: {lan: {address: 198.18.7.10}}
    image: registry.example/nginx:1.27@sha256
    command: sh -c 'echo "a b"'
    environment: {PORT: 80, VERSION: 1.10, NAME: on}
    cpus: 0.5
    memory: 256MB
    sysctls: {net.ipv4.tcp_sack: 0}
    ready: {tcp: 80}
  b: {command: [sleep, 5]}
"""
    topology = loads(text, "file.yml")
    node = topology.nodes["a"]
    assert topology.addresses("lan", 4) == {"a": IPv4Address("198.18.7.10")}
    assert topology.networks["lan"].fixed_subnet(4, [IPv4Address("198.18.7.10")]) == IPv4Network("198.18.7.0/24")
    assert node.command == ("sh", "-c", 'echo "a b"')
    assert node.environment == {"PORT": "80", "VERSION": "1.10", "NAME": "on"}
    assert (node.cpus_milli, node.memory_bytes) == (500, 256_000_000)
    assert node.sysctls == {"net.ipv4.tcp_sack": "0"}
    assert node.ready
    assert node.ready.timeout_ns == units.DURATION.parse("10s")
    assert topology.nodes["b"].command == ("sleep", "5")


@pytest.mark.parametrize(
    ("node", "code"),
    [
        ("environment: {A: true}", "wrong-type"),
        ("environment: {A-B: c}", "bad-value"),
        ("environment: {A: }", "no-value"),
        ("sysctls: {kernel.shmmax: 1}", "bad-value"),
        ("command: 'a \"b'", "bad-value"),
        ('command: "a \\0"', "bad-value"),
        ("cpus: 0", "bad-value"),
        ("cpus: -1", "bad-value"),
        ("image: 'a b'", "bad-value"),
        ("ready: {}", "missing-key"),
        ("ready: {tcp: 0}", "out-of-range"),
        ("networks: [lan, lan]", "duplicate-network"),
        ("networks: lan", "wrong-type"),
        ("networks: []", "wrong-length"),
        ("networks: {lan: {adress: 1}}", "unknown-key"),
    ],
)
def test_faults_of_a_node(node, code):
    assert fault(f"name: x\nnodes:\n  a: {{{node}}}\n").code == code


def test_keys_beside_a_profile_replace_its_own():
    text = HEAD + "links: [{between: [client, server], profile: lte, delay: 0, loss: 1%}]\n"
    [link] = loads(text, "file.yml").links
    impairment = link.impairment_keys
    assert (impairment.delay_ns, impairment.rate) == (0, 12_000_000)
    assert impairment.resolve(mtu=1500, delay_back_ns=0).loss == IndependentLoss(
        probability=units.PROBABILITY.parse("1%")
    )


def test_a_directory_and_a_missing_file_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="Is a directory"):
        load(tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "none.yml")


def test_an_endless_file_is_not_read_to_its_end():
    with pytest.raises(TopologyError, match="too-large"):
        load(Path("/dev/zero"))


EXPECTING = """name: x
nodes: {client: , server: }
workloads:
  - {name: download, kind: tcp-stream, from: server, to: client}
  - together: [{name: 5, kind: udp-stream, from: client, to: server}]
  - {name: odd, kind: nonsense, from: client, to: server}
expect:
"""


@pytest.mark.parametrize(
    ("text", "column", "code", "words"),
    [
        ("download.godput >= 5 mbit", 14, "unknown-metric", ['did you mean "goodput"?', "metrics of tcp-stream are:"]),
        ("'download.goodput >= 5 ms'", 26, "wrong-unit", ["has 5 ms, which is a duration", "is a rate", "20mbit"]),
        ('"5.loss <= 2 * dowload.goodput"', 20, "unknown-workload", ['did you mean "download"?']),
        ('"5.los\\x73 <= 5"', 5, "wrong-unit", ["has 5, which is a count", "like 2%"]),
        ("5.loss <= 5%\n    and more", 5, "bad-expectation", ['has "and" where its end is expected']),
    ],
)
def test_an_error_in_an_expectation_has_its_position(text, column, code, words):
    problem = next(one for one in faults(f"{EXPECTING}  - {text}\n") if one.line >= 8)
    assert (problem.line, problem.column, problem.code) == (8, column, code)
    for word in words:
        assert word in str(problem)


def test_expectations_of_a_workload_that_is_wrong_itself_are_not_held_against_it():
    found = faults(f"{EXPECTING}  - odd.goodput >= 5 mbit\n  - 5.loss <= 5%\n")
    assert [one.code for one in found] == ["unknown-kind"]


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("services: {web: {image: nginx}}", "is a compose file", "compose: {file: file.yml} in a topology"),
        ("name: a\ntopology: {nodes: {a: {kind: linux}}}", "is a containerlab file", "testbed import file.yml"),
        ("root: x\ndaemon: y\n", "has no key of a topology", "at least `name:` and `nodes:`"),
    ],
)
def test_a_file_that_is_no_topology_is_one_problem(text, said, hint):
    problem = fault(text)
    assert (problem.code, problem.line) == ("no-topology", 1)
    assert said in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("section", "name", "meant"),
    [
        ("links: [{betwen: [client, server], delay: 5ms}]", "betwen", "between"),
        ("links: [{form: client, to: server, delay: 5ms}]", "form", "from"),
        ("links: [{wires: [client, server]}]", "wires", "wire"),
        ("links: [{between: [client, server], latency: 5ms}]", "latency", "delay"),
        ("workloads: [{name: a, kind: ping, form: client, to: server}]", "form", "from"),
        ("workloads: [{togther: []}]", "togther", "together"),
        ("chaos: {evry: 3s, until: 9s}", "evry", "every"),
        ("timeline: [{at: 1s, link: {betwen: [client, server]}, loss: 5%}]", "betwen", "between"),
    ],
)
def test_a_misspelled_key_is_one_problem(section, name, meant):
    problem = fault(HEAD + section)
    assert problem.code == "unknown-key"
    assert f'has no key "{name}"' in problem.message
    assert f'did you mean "{meant}"?' in problem.hint


def test_a_key_that_is_missing_beside_a_misspelled_one():
    found = faults(HEAD + "workloads: [{name: a, kind: ping, from: client, cuont: 3}]")
    assert [problem.code for problem in found] == ["missing-key", "unknown-key"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nodes:\n\ta:\n", "indent with spaces"),
        ("nodes: {a: , b: \nlinks:\n", "not closed"),
        ('name: "a\nnodes: {a: }\n', "quotation mark"),
        ("links:\n  - between: [a, b]\n   delay: 5ms\n", "indent the keys of one mapping alike"),
    ],
)
def test_what_to_do_about_wrong_yaml(text, words):
    problem = fault(f"name: a\n{text}")
    assert problem.code == "bad-yaml"
    assert words in problem.hint


def test_a_file_that_a_topology_names_and_that_is_not_there():
    problem = fault(HEAD + "links: [{between: [client, server], rate: {trace: none.trace}}]")
    assert problem.message == 'links[0].rate.trace is "none.trace", and "none.trace" is no file'
