from ipaddress import IPv4Network

import pytest

from testbed import plan as package
from testbed.errors import MachineError
from testbed.families import POOL
from testbed.impairments import (
    Impairments,
)
from testbed.plan import relocate, resolve
from testbed.topology import loads

TWO = "name: x\nnodes: {client: , server: }\n"


def plan(text, *, taken=(), **options):
    return relocate(resolve(loads(text, "file.yml"), **options), taken)


def links(lines):
    return {link.name: link for link in plan(TWO + "links:\n" + lines).links}


def test_addresses_follow_the_file():
    made = plan(
        "name: x\nnetworks: {a: {subnet: 198.18.7.0/24}, b: {subnet: 198.18.8.0/24}}\nnodes:\n"
        "  n1: {networks: [b, a]}\n  n2: {networks: {a: {address: 198.18.7.3}}}\n  n3: {networks: [a]}\n"
    )
    interfaces = [(one.name, one.network, one.address, one.mac) for node in made.nodes for one in node.interfaces]
    assert interfaces == [
        ("eth0", "b", "198.18.8.2", "02:42:c6:12:08:02"),
        ("eth1", "a", "198.18.7.2", "02:42:c6:12:07:02"),
        ("eth0", "a", "198.18.7.3", "02:42:c6:12:07:03"),
        ("eth0", "a", "198.18.7.4", "02:42:c6:12:07:04"),
    ]
    assert [(network.gateway, network.allocated) for network in made.networks] == [
        ("198.18.7.1", False),
        ("198.18.8.1", False),
    ]


def test_an_address_without_a_subnet_settles_the_subnet():
    made = plan("name: x\nnodes: {a: {networks: {lan: {address: 198.18.7.10}}}, b: }\n")
    assert (made.networks[0].subnet, made.networks[0].allocated) == ("198.18.7.0/24", False)
    assert [node.interfaces[0].address for node in made.nodes] == ["198.18.7.10", "198.18.7.2"]


def test_a_free_subnet_is_chosen_from_the_labs_place_on():
    first = plan(TWO).networks[0]
    assert first.allocated
    subnet = IPv4Network(first.subnet)
    assert subnet.subnet_of(POOL)
    beside = plan(TWO, taken=[subnet]).networks[0]
    after = (int(subnet.network_address) - int(POOL.network_address)) // 256 + 1
    assert beside.subnet == str(list(POOL.subnets(new_prefix=24))[after % 512])
    assert plan(TWO, lab="other").networks[0].subnet != first.subnet


def test_the_last_free_subnet_is_found():
    *taken, last = POOL.subnets(new_prefix=24)
    assert plan(TWO, taken=taken).networks[0].subnet == str(last)
    with pytest.raises(MachineError, match="no-free-subnet"):
        plan(TWO, taken=[POOL])


def test_a_larger_network_gets_a_larger_subnet():
    def prefix(nodes):
        names = ", ".join(f"n{index}: " for index in range(nodes))
        made = plan(f"name: x\nnodes: {{{names}}}\n")
        assert len({node.interfaces[0].address for node in made.nodes}) == nodes
        return made.nodes[0].interfaces[0].prefix_length

    assert [prefix(1), prefix(253), prefix(254), prefix(509), prefix(510)] == [24, 24, 23, 23, 22]


def test_a_given_subnet_that_is_in_use_is_an_error():
    text = "name: x\nnetworks: {wan: {subnet: 198.18.7.0/24}}\nnodes: {a: }\n"
    with pytest.raises(MachineError) as raised:
        plan(text, taken=[IPv4Network("198.18.0.0/16")])
    assert str(raised.value).startswith("subnet-taken: network wan: 198.18.7.0/24 is in use")


def test_allocation_keeps_off_given_subnets():
    given = plan(TWO).networks[0].subnet
    made = plan(f"name: x\nnetworks: {{a: , b: {{subnet: {given}}}}}\nnodes: {{n: {{networks: [a, b]}}}}\n")
    assert made.networks[0].subnet != given


def test_between_is_two_links_with_seeds_of_their_own():
    found = links("- {between: [client, server], delay: 40ms}\n")
    assert list(found) == ["client -> server", "server -> client"]
    assert len({link.seed for link in found.values()}) == 2


@pytest.mark.parametrize("order", [1, -1])
def test_from_to_wins_whole_over_between(order):
    lines = ["- {between: [client, server], delay: 40ms, loss: 2%}\n", "- {from: server, to: client, delay: 1ms}\n"]
    found = links("".join(lines[::order]))
    assert found["client -> server"].impairments.loss is not None
    assert found["server -> client"].impairments == Impairments(delay_ns=10**6)


def test_a_link_that_does_nothing_is_not_in_the_plan():
    assert links("- {between: [client, server], delay: 0, loss: 0%}\n") == {}
    found = links("- {between: [client, server], delay: 1ms}\n- {from: client, to: server}\n")
    assert list(found) == ["server -> client"]


@pytest.mark.parametrize(
    ("keys", "queue"),
    [
        ("rate: 8mbit, queue: 64KB", 64_000),
        ("rate: 8mbit, queue: 100 packets", 100 * 1514),
        ("rate: 8mbit, queue: 1 packet", 1514),
        ("rate: 8mbit, queue: 100ms", 100_000),
        ("rate: 8mbit, delay: 50ms, queue: 1bdp", 60_000),
        ("rate: 8mbit, delay: 50ms, queue: 2bdp", 120_000),
        ("rate: 8mbit, delay: 50ms, queue: 0.5bdp", 30_000),
        ("rate: 8mbit, delay: 50ms", 60_000),
        ("rate: 8mbit", 15_140),
    ],
)
def test_queues(keys, queue):
    found = links(f"- {{from: client, to: server, {keys}}}\n- {{from: server, to: client, delay: 10ms}}\n")
    assert found["client -> server"].impairments.bottleneck.queue_bytes == queue


def test_a_full_frame_follows_the_mtu():
    made = plan(f"{TWO}networks: {{lan: {{mtu: 9000}}}}\nlinks: [{{between: [client, server], rate: 1mbit}}]\n")
    bottleneck = made.links[0].impairments.bottleneck
    assert bottleneck is not None
    assert bottleneck.queue_bytes == 90_140


def test_engine_of_a_link():
    text = TWO + "engine: netem\nlinks:\n- {from: client, to: server, loss: 1%, engine: userspace}\n"
    text += "- {from: server, to: client, loss: 1%}\n"
    assert [link.engine for link in plan(text).links] == ["userspace", "netem"]
    assert [link.engine for link in plan(text, engine="auto").links] == ["auto", "auto"]


def test_arguments_override_what_the_file_says():
    made = plan(TWO + "seed: 3\nruntime: docker\n", lab="y", runtime="netns", seed=0)
    assert (made.lab, made.topology, made.runtime, made.seed) == ("y", "x", "netns", 0)
    assert plan(TWO + "seed: 0\n").seed == 0
    assert plan(TWO).seed == plan(TWO, lab="y").seed


def test_the_plans_seed_decides_all_others():
    text = TWO + "links: [{between: [client, server], loss: 1%}]\n"
    text += "workloads: [{name: w, kind: ping, from: client, to: server}]\n"

    def seeds(made):
        return {link.seed for link in made.links} | {workload.seed for workload in made.workloads}

    assert seeds(plan(text, seed=1)) == seeds(plan(text, seed=1, lab="y"))
    assert len(seeds(plan(text, seed=1)) | seeds(plan(text, seed=2))) == 6


def test_sysctls_of_the_file_win():
    made = plan("name: x\nnodes: {a: {sysctls: {net.ipv4.tcp_congestion_control: reno}}}\n")
    assert made.nodes[0].sysctls == {"net.ipv4.tcp_congestion_control": "reno", "net.ipv4.tcp_no_metrics_save": "1"}
    made = plan("name: x\nnodes: {a: {sysctls: {net.ipv4.tcp_no_metrics_save: 0}}}\n")
    assert made.nodes[0].sysctls == {"net.ipv4.tcp_no_metrics_save": "0"}


def test_connections_use_cubic_unless_something_else_is_said():
    made = plan(TWO + "workloads: [{name: w, kind: tcp-stream, from: client, to: server}]\n")
    assert made.workloads[0].parameters["congestion"] == "cubic"


@pytest.mark.parametrize(
    ("keys", "parameters"),
    [
        ("kind: tcp-stream", {"congestion": "reno", "duration_ns": 10**10}),
        ("kind: tcp-stream, bytes: 10MB", {"congestion": "reno", "size_bytes": 10**7}),
        ("kind: tcp-stream, duration: 1s, congestion: bbr", {"congestion": "bbr", "duration_ns": 10**9}),
        (
            "kind: tcp-rr",
            {"congestion": "reno", "count": 100, "size_bytes": 64, "reply_bytes": 64, "connect": "once"},
        ),
        (
            "kind: tcp-rr, size: 1KB, connect: each",
            {"congestion": "reno", "count": 100, "size_bytes": 1000, "reply_bytes": 1000, "connect": "each"},
        ),
        ("kind: udp-stream", {"rate_bps": 10**6, "size_bytes": 160, "duration_ns": 10**10}),
        (
            "kind: udp-rr, reply: 100B",
            {"count": 100, "size_bytes": 64, "reply_bytes": 100, "timeout_ns": 10**9},
        ),
        ("kind: ping", {"count": 20, "interval_ns": 10**8, "size_bytes": 56}),
    ],
)
def test_parameters(keys, parameters):
    text = "name: x\nnodes:\n  a: {sysctls: {net.ipv4.tcp_congestion_control: reno}}\n  b: \n"
    [workload] = plan(f"{text}workloads: [{{name: w, from: a, to: b, {keys}}}]\n").workloads
    assert workload.parameters == parameters
    assert (workload.source, workload.destination, workload.address) == ("a", "b", workload.address)


def test_stages_and_ports():
    one = "{name: %s, kind: ping, from: client, to: server}"
    text = f"{TWO}workloads:\n- {one % 'a'}\n- together:\n  - {one % 'b'}\n  - {one % 'c'}\n- {one % 'd'}\n"
    made = plan(text)
    assert [[workload.name for workload in stage] for stage in made.stages] == [["a"], ["b", "c"], ["d"]]
    assert [workload.port for workload in made.workloads] == [5001, 5002, 5003, 5004]


def test_a_workload_takes_the_network_it_names():
    text = "name: x\nnetworks: {a: , b: }\nnodes: {n: {networks: [a, b]}, m: {networks: [b, a]}}\n"
    made = plan(text + "workloads: [{name: w, kind: ping, from: n, to: m, network: b}]\n")
    assert made.workloads[0].address == made.node("m").on("b").address


def test_the_package_has_no_other_names():
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing
