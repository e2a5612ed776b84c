"""IPv6 over every runtime and engine, as ping, traceroute, tcpdump and ip see it."""

from __future__ import annotations

import re
from ipaddress import IPv6Address

import pytest

from tests.contract.labs import NETEM_ONCE, quickest, shared_lab
from tests.live.command_line import eventually
from tests.live.lateness import wrong

TOPOLOGY = """
name: six
ip: both
networks: {lan: {}, far: {ip: 6}}
nodes:
  a: {networks: [lan]}
  neighbour: {networks: [lan]}
  r: {networks: [lan], router: {firewall: {inside: [lan]}}}
  r2: {networks: [far], router: true}
  b: {networks: [far]}
links:
  - {between: [a, neighbour], delay: 20ms}
  - {between: [a, neighbour], match: {protocol: udp, port: 5300}, delay: 60ms}
  - {between: [a, r], delay: 5ms}
  - {wire: [r, r2], delay: 10ms, mtu: 1400}
workloads:
  - {name: there, kind: udp-stream, from: a, to: b, rate: 100kbit, duration: 1s}
"""

FIREWALL = "{firewall: {inside: [lan]}}"

NEAR_MS, FAR_MS = 40, 30
"""Round trips."""


@pytest.fixture(scope="module", params=NETEM_ONCE)
def lab(request):
    _, engine = request.param
    text = TOPOLOGY if engine == "userspace" else TOPOLOGY.replace(FIREWALL, "true")  # the guest has no nftables
    with shared_lab(text, request.param) as lab:
        yield lab


def ping6(lab, source, *options):
    done = lab[source].run(["ping", "-6", "-n", "-c", "1", *options])
    return done.stdout + done.stderr


def test_a_link_delays_packets_of_both_families(lab):
    address6 = lab["neighbour"].addresses6["lan"]
    assert quickest(lab["a"], lab["neighbour"].addresses["lan"]) >= NEAR_MS
    assert quickest(lab["a"], address6) >= NEAR_MS
    assert lab["a"].run(["ip", "-6", "neighbour", "show", address6]).stdout.split()[-1] == "PERMANENT"


def test_a_name_has_an_address_of_each_family(lab):
    found = lab["a"].run(["getent", "ahosts", "neighbour"]).stdout.split()
    both = lab["neighbour"].addresses["lan"], lab["neighbour"].addresses6["lan"]
    assert {word for word in found if "." in word or ":" in word} == {*both}
    assert found[0] == both[1]


def test_routers_forward_and_say_where_packets_end(lab):
    assert quickest(lab["a"], "b") >= FAR_MS
    said = ping6(lab, "a", "-W", "5", "-t", "1", "b")
    assert f"From {lab['r'].addresses6['lan']} icmp_seq=1 Time exceeded" in said, said
    said = ping6(lab, "a", "-W", "5", "-M", "do", "-s", "1400", "b")
    assert "mtu=1400" in said or "mtu: 1400" in said, said


def test_only_a_firewall_keeps_ipv6_out(lab):
    has_firewall = lab.plan.node("r").router.firewall is not None
    assert f" {int(not has_firewall)} received" in ping6(lab, "b", "-W", "5", lab["a"].addresses6["lan"])


def test_links_are_as_requested_over_the_families_that_they_have(lab):
    checks = lab.check(budget_s=120)
    assert wrong(checks) == []
    assert {check.network for check in checks} == {"lan", "r-r2", "far"}


def test_a_workload_crosses_networks_that_share_only_ipv6(lab):
    assert ":" in next(iter(lab.plan.workloads)).address
    run = lab.run(check=False)
    assert run["there"].delivered > 0
    assert run["there"].latency_min_ns >= FAR_MS * 10**6 / 2


def test_packets_meet_the_link_that_their_ports_select(lab):
    server = "import socket; s=socket.socket(10,2); s.bind(('::',5300)); d,a=s.recvfrom(99); s.sendto(d,a)"
    client = (
        "import socket,time; s=socket.socket(10,2); s.settimeout(.5); s.connect(('{}',5300)); sent=[]\n"
        "for number in range(99):\n"
        " sent.append(time.monotonic())\n"
        " try: s.send(bytes([number])); answered=s.recv(9)[0]; print(time.monotonic()-sent[answered]); break\n"
        " except OSError: time.sleep(.1)\n"
    )
    python = ["python3", "-c"]
    with lab["neighbour"].popen([*python, server]):
        done = lab["a"].run([*python, client.format(lab["neighbour"].addresses6["lan"])])
    assert float(done.stdout) >= 3 * NEAR_MS / 1000, done


def test_only_nodes_answer_on_a_network(lab):
    on_lan = [at.mac for node in lab.plan.nodes for at in node.interfaces if at.network == "lan"]
    expected = {str(link_local(mac)) for mac in on_lan}
    answered: set[str] = set()

    def have_all_answered():
        answers = ping6(lab, "a", "-c", "2", "-w", "2", "ff02::1%eth0")
        answered.update(re.findall(r"from (fe80:[0-9a-f:]+)%eth0", answers))
        return answered >= expected

    assert eventually(have_all_answered), answered
    assert answered == expected


def link_local(mac):
    """The link-local address of a MAC: RFC 4291, appendix A."""
    octets = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:])
