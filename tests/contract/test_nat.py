"""NAT and firewalls over every runtime, as datagrams of our own, ping, nft and the check see them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from testbed.nat import KINDS
from testbed.runtime import load
from tests.contract.labs import USERSPACE, shared_lab
from tests.live.command_line import eventually

SERVER = """
import select, socket
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for sock, port in zip(socks, (3478, 3479)):
    sock.bind(("", port))
while True:
    for sock in select.select(socks, [], [])[0]:
        data, sender = sock.recvfrom(100)
        word, *more = data.decode().split()
        seen = f"{sender[0]} {sender[1]} {more[-1]}"
        if word == "echo":
            sock.sendto(seen.encode(), sender)
        elif word == "change-port":
            socks[sock is socks[0]].sendto(seen.encode(), sender)
        elif word == "change-address":
            sock.sendto(f"send {seen}".encode(), (more[0], 3478))
        else:
            sock.sendto(data[5:], (more[0], int(more[1])))
"""
"""Answers with the sender's address and the question's number, from where it is asked to: a little of RFC 5780."""

CLIENT = """
import json, socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
found = []
for question, (word, host, port, patience) in enumerate(json.loads(sys.argv[1])):
    answer = None
    for _ in range(patience):
        sock.settimeout(1)
        sock.sendto(f"{word} {question}".encode(), (host, port))
        try:
            while (said := sock.recv(100).decode().rpartition(" "))[2] != str(question):
                pass  # a late answer to an earlier question
            answer = said[0]
            break
        except OSError:
            pass
    found.append(answer)
print(json.dumps(found))
"""
"""Asks from one socket, and prints what was answered; null where nothing was."""

STREAM = """
import json, socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(0.3)
seen, end = [], time.monotonic() + 4
while time.monotonic() < end:
    sock.sendto(b"echo 0", (sys.argv[1], 3478))
    try:
        seen.append(sock.recv(100))
    except OSError:
        pass
    time.sleep(0.02)
print(json.dumps({"endpoints": len(set(seen)), "addresses": len({one.split()[0] for one in seen})}))
"""

HOME = '{nat: {inside: [den], forward: ["8080:child:80"]}, firewall: {inside: [den]}}'

TOPOLOGY = f"""
name: natted
networks: {{lan: {{}}, den: {{}}, wan: {{}}}}
nodes:
  fc-client: {{networks: [lan], routes: [{{to: wan, via: full-cone}}]}}
  ar-client: {{networks: [lan], routes: [{{to: wan, via: address-restricted}}]}}
  pr-client: {{networks: [lan], routes: [{{to: wan, via: port-restricted}}]}}
  sy-client: {{networks: [lan], routes: [{{to: wan, via: symmetric}}]}}
  full-cone: {{networks: [lan, wan], router: {{nat: {{inside: [lan], kind: full-cone, hairpin: true, timeout: 3s}}}}}}
  address-restricted:
    networks: [lan, wan]
    router: {{nat: {{inside: [lan], kind: address-restricted, hairpin: true, timeout: 3s}}}}
  port-restricted: {{networks: [lan, wan], router: {{nat: {{inside: [lan], kind: port-restricted, timeout: 3s}}}}}}
  symmetric: {{networks: [lan, wan], router: {{nat: {{inside: [lan], kind: symmetric, timeout: 3s}}}}}}
  home: {{networks: [den, lan], routes: [{{to: wan, via: full-cone}}], router: {HOME}}}
  child: {{networks: [den], command: [python3, -u, -m, http.server, "80", --directory, /tmp]}}
  server: {{networks: [wan], command: [python3, -c, {json.dumps(SERVER)}]}}
  other: {{networks: [wan], command: [python3, -c, {json.dumps(SERVER)}]}}
  rejecting: {{networks: [wan], router: {{firewall: {{inside: [office], policy: reject}}}}}}
  dropping: {{networks: [wan], router: {{firewall: {{inside: [vault], icmp: drop}}}}}}
  office-pc:
  vault-pc:
links:
  - {{wire: [rejecting, office-pc], name: office}}
  - {{wire: [dropping, vault-pc], name: vault}}
  - {{between: [full-cone, server], loss: 30%}}
workloads:
  - together:
      - {{name: rebound, kind: command, in: pr-client, command: [python3, -c, {json.dumps(STREAM)}, server]}}
      - {{name: steady, kind: command, in: ar-client, command: [python3, -c, {json.dumps(STREAM)}, server]}}
      - {{name: moved, kind: command, in: sy-client, command: [python3, -c, {json.dumps(STREAM)}, server]}}
timeline:
  - {{at: 2s, node: port-restricted, rebind: true}}
  - {{at: 2s, node: symmetric, rebind: true, address: new}}
  - {{at: 3s, node: symmetric, rebind: true, address: new}}
"""

CLIENTS = {"full-cone": "fc-client", "address-restricted": "ar-client"} | {
    "port-restricted": "pr-client",
    "symmetric": "sy-client",
}
PATIENCE, IMPATIENCE = 30, 1
"""How often to ask where an answer must come, or must not."""

ATTEMPTS = 5
"""How often to have a run in which clients may see less than happens, on a machine that is late."""


@pytest.fixture(scope="module", params=USERSPACE)
def lab(request):
    with shared_lab(TOPOLOGY, request.param) as lab:
        yield lab


def address(lab, node, network="wan"):
    return lab.plan.node(node).on(network).address


def ask(lab, node, *questions):
    done = lab[node].run(["python3", "-c", CLIENT, json.dumps(questions)])
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)


def in_namespace(lab, node, *argv):
    """The output of a command of this machine in the network namespace of a node."""
    if lab.runtime == "netns":
        return lab[node].run(argv).stdout
    form = "{{.State.Pid}}"
    found = subprocess.run(
        ["docker", "inspect", "-f", form, f"testbed-{lab.name}-{node}"], capture_output=True, text=True, check=True
    )
    command = ["nsenter", "-t", found.stdout.strip(), "-n", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_socket_has_one_port_outside_or_one_for_each_remote_endpoint(lab, kind):
    questions = [("echo", address(lab, node), port, PATIENCE) for node in ("server", "other") for port in (3478, 3479)]
    seen = ask(lab, CLIENTS[kind], *questions)
    assert {one.split()[0] for one in seen} == {address(lab, kind)}
    assert len(set(seen)) == (4 if kind == "symmetric" else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_packets_get_in_from_where_the_kind_says(lab, kind):
    filtering = KINDS[kind].filtering
    from_port, from_address = filtering != "address-and-port-dependent", filtering == "endpoint-independent"
    server, other = address(lab, "server"), address(lab, "other")
    first, port, at_other = ask(
        lab,
        CLIENTS[kind],
        ("echo", server, 3478, PATIENCE),
        ("change-port", server, 3478, PATIENCE if from_port else IMPATIENCE),
        (f"change-address {other}", server, 3478, PATIENCE if from_address else IMPATIENCE),
    )
    assert first is not None
    assert (port is not None, at_other is not None) == (from_port, from_address)


def test_two_sockets_have_different_ports_even_towards_different_remote_endpoints(lab):
    seen = [ask(lab, "fc-client", ("echo", address(lab, node), 3478, PATIENCE))[0] for node in ("server", "other") * 2]
    assert len(set(seen)) == len(seen)


def test_the_kernel_has_the_mappings_that_the_server_saw(lab):
    if lab.runtime == "docker" and os.geteuid() != 0:
        pytest.skip("only root can look into the namespace of a container")
    (seen,) = ask(lab, "ar-client", ("echo", address(lab, "server"), 3478, PATIENCE))
    listed = in_namespace(
        lab, "address-restricted", "/usr/sbin/nft", "-j", "list", "map", "ip", "testbed_nat_0", "owners"
    )
    (found,) = [part["map"] for part in json.loads(listed)["nftables"] if "map" in part]
    owners = {entry[0]["elem"]["val"]["concat"][1]: entry[1]["concat"][0] for entry in found["elem"]}
    assert owners[int(seen.split()[1])] == address(lab, "ar-client", "lan")


def test_two_nats_in_a_row_let_answers_through_and_nothing_else(lab):
    (seen,) = ask(lab, "child", ("echo", address(lab, "server"), 3478, PATIENCE))
    assert seen.split()[0] == address(lab, "full-cone")
    assert "1 received" in lab["child"].run(["ping", "-c", "1", "-W", "9", address(lab, "other")]).stdout


def test_a_forwarded_port_leads_to_a_node_inside_through_the_firewall(lab):
    outside, fetch = address(lab, "home", "lan"), ["curl", "-s", "-m10", "-o", "/dev/null", "-w", "%{http_code}"]
    eventually(lambda: lab["fc-client"].run([*fetch, f"http://{outside}:8080/"]).stdout == "200")
    assert lab["fc-client"].run(["curl", "-s", "-m1", f"http://{outside}/"]).status, "the port is not forwarded"
    written = b"".join(load(lab.runtime).logs(lab.name, "child")).decode()
    senders = set(re.findall(r"^(\S+) - - .*GET / ", written, re.MULTILINE))
    assert senders == {address(lab, "fc-client", "lan")}, "it sees who asks"


def test_nodes_outside_know_no_way_to_what_is_inside(lab):
    done = lab["other"].run(["ping", "-c", "1", "-W", "1", address(lab, "ar-client", "lan")])
    assert done.status != 0
    if lab.runtime == "netns":  # elsewhere that no server knows a name is only known after 10 s
        assert lab["other"].run(["getent", "ahostsv4", "ar-client"]).status != 0


def test_packets_that_are_routed_to_the_inside_do_not_get_there(lab):
    if lab.runtime != "netns":
        pytest.skip("only there a node may change its routes")
    inside, router = address(lab, "ar-client", "lan"), address(lab, "address-restricted")
    lab["other"].run(["ip", "route", "add", f"{inside}/32", "via", router])
    try:
        assert "100% packet loss" in lab["other"].run(["ping", "-c", "2", "-i", "0.2", "-W", "1", inside]).stdout
    finally:
        lab["other"].run(["ip", "route", "del", f"{inside}/32"])


def test_the_check_finds_every_kind_and_its_timeout_beneath_the_impairments(lab):
    found = {each.node: each for each in lab.check_nats(deep=True, budget_s=30)}
    assert found.keys() == {*KINDS, "home"}
    for kind, behaviour in KINDS.items():
        check = found[kind]
        assert check.passed, check.verdict
        assert (check.mapping, check.filtering) == behaviour
        assert check.hairpin == (kind in ("full-cone", "address-restricted"))
        assert check.timeout == "mappings last about 3 s"
    assert (found["home"].passed, found["home"].timeout) == (True, "")  # its 30 s are more than the check may take
    for router in KINDS:
        assert "lo" not in lab[router].run(["ip", "-br", "neigh", "show", "nud", "permanent"]).stdout
        assert "/32" not in lab[router].run(["ip", "route"]).stdout


def test_a_nat_of_another_kind_fails_the_check(lab):
    if lab.runtime != "netns":
        pytest.skip("only there a node may change its rules")
    let_in = "iifname eth1 meta l4proto udp dnat ip to meta l4proto . th dport map @owners"
    rule = ["nft", "-e", "-a", "add", "rule", "ip", "testbed_nat_0", "inwards", *let_in.split()]
    (handle,) = re.findall(r"# handle (\d+)", lab["port-restricted"].run(rule).stdout)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "testbed", "check", lab.name, "--json"], capture_output=True, text=True, check=False
        )
        rows = {row["nat"]: row for row in json.loads(done.stdout) if "nat" in row}
        assert done.returncode == 1, done.stderr
        assert rows["port-restricted"]["filtering"] == "endpoint-independent"
        assert "requested is address-and-port-dependent" in rows["port-restricted"]["verdict"]
        assert [name for name, row in rows.items() if not row["passed"]] == ["port-restricted"]
    finally:
        lab["port-restricted"].run(["nft", "delete", "rule", "ip", "testbed_nat_0", "inwards", "handle", handle])
    assert all(each.passed for each in lab.check_nats())


def test_a_nat_that_rebinds_gives_what_goes_on_another_port(lab, tmp_path):
    before = {kind: lab[kind].run(["ip", "-br", "-4", "addr"]).stdout for kind in KINDS}
    expected = {"rebound": (2, 1), "steady": (1, 1), "moved": (3, 3)}
    for _ in range(ATTEMPTS):
        run = lab.run(tmp_path, check=False)
        found = {
            each.workload: (each.values["data.endpoints"], each.values["data.addresses"]) for each in run.summaries
        }
        if all(found[name] >= counts for name, counts in expected.items()):
            break  # else a client began so late, or got so few answers, that it saw less of what happened
    assert found == expected
    assert [event.what for event in run.timeline][:2] == [
        "NAT of port-restricted rebinds",
        "NAT of symmetric rebinds with a new address",
    ]
    assert all(event.due_ns <= event.begun_ns < event.done_ns for event in run.timeline)
    # At the end, each has the address again that it had before.
    assert {kind: lab[kind].run(["ip", "-br", "-4", "addr"]).stdout for kind in KINDS} == before
    assert all(each.passed for each in lab.check_nats())
    assert lab.attachments().problems == ()


def test_a_firewall_lets_connections_out_and_none_in(lab):
    (seen,) = ask(lab, "office-pc", ("echo", address(lab, "server"), 3478, PATIENCE))
    assert seen.split()[0] == address(lab, "office-pc", "office")
    (seen,) = ask(lab, "vault-pc", ("echo", address(lab, "server"), 3478, PATIENCE))
    assert seen.split()[0] == address(lab, "vault-pc", "vault")
    outcomes = {
        (node, sort): knocked(lab, sort, address(lab, node, network), seconds)
        for node, network, seconds in (("office-pc", "office", PATIENCE), ("vault-pc", "vault", IMPATIENCE))
        for sort in ("SOCK_STREAM", "SOCK_DGRAM")
    }
    assert outcomes == {
        ("office-pc", "SOCK_STREAM"): "ConnectionRefusedError",
        ("office-pc", "SOCK_DGRAM"): "ConnectionRefusedError",
        ("vault-pc", "SOCK_STREAM"): "TimeoutError",
        ("vault-pc", "SOCK_DGRAM"): "TimeoutError",
    }


def knocked(lab, sort, destination, seconds):
    """What comes of a connection of the server to a node, within some seconds."""
    return lab["server"].run(["python3", "-c", KNOCK, sort, destination, str(seconds)]).stdout.strip()


KNOCK = """
import socket, sys
sock = socket.socket(socket.AF_INET, getattr(socket, sys.argv[1]))
sock.settimeout(float(sys.argv[3]))
try:
    sock.connect((sys.argv[2], 9))
    sock.send(b"x")
    sock.recv(1)
except OSError as error:
    print(type(error).__name__)
"""


def test_a_firewall_passes_or_drops_icmp_errors(lab):
    server = address(lab, "server")
    told = {
        node: lab[node].run(["ping", "-n", "-c", "1", "-W", str(seconds), "-t", "1", server]).stdout
        for node, seconds in (("office-pc", PATIENCE), ("vault-pc", IMPATIENCE))
    }
    assert "Time to live exceeded" in told["office-pc"]
    assert "exceeded" not in told["vault-pc"]
    assert "1 received" in lab["vault-pc"].run(["ping", "-n", "-c", "1", "-W", str(PATIENCE), server]).stdout


def test_a_router_that_starts_again_has_its_nat_again(lab):
    if lab.runtime != "docker":
        pytest.skip("nodes of network namespaces do not start again")
    subprocess.run(
        ["docker", "restart", "-t0", f"testbed-{lab.name}-address-restricted"], check=True, capture_output=True
    )

    def is_back():
        found = {each.node: each for each in lab.check_nats()} if not lab.attachments().problems else {}
        return found and found["address-restricted"].passed

    assert eventually(is_back)
