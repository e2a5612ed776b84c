"""Containers that run already: their links are impaired, measured from within them, and given back."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from contextlib import contextmanager

import pytest

from testbed.errors import LabError, MachineError, UsageError
from testbed.lab import Lab, resolve
from testbed.present import as_name
from testbed.topology import loads
from tests.live.command_line import run
from tests.live.compose_projects import docker, project
from tests.live.docker_agents import agent_as
from tests.live.lateness import wrong

pytestmark = [pytest.mark.docker, pytest.mark.live]

ROUND_TRIP_MS = 80

DEFAULT = "bridge"
"""The network of containers that name none."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A compose project that is up all the while."""
    with project(tmp_path_factory.mktemp("shop")) as made:
        yield made


def round_trips(said):
    return [float(found) for found in re.findall(r"time=([\d.]+) ms", said)]


def shortest(shop, service, address):
    return min(round_trips(shop.ping(service, address, "-c10")))


def device_of(index):
    """The name of a device of the machine."""
    listed = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    (name,) = re.findall(rf"^{index}: ([^:@]+)", listed, re.MULTILINE)
    return name


def traces(shop):
    """What a lab could leave behind: filters at the ports of the containers, and permanent neighbours in them."""
    found: dict[object, object] = {}
    for service in ("web", "db", "other"):
        name = shop.container(service)
        found[service] = re.findall(r"\S+ lladdr \S+ PERMANENT", docker("exec", name, "ip", "neigh"))
        for index in re.findall(r"eth\d+@if(\d+)", docker("exec", name, "ip", "-o", "link")):
            command = ["tc", "filter", "show", "dev", device_of(index), "egress"]
            found[service, index] = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return found


TOPOLOGY = """
name: attached
compose: {{project: {project}}}
links:
  - {{between: [web, db], network: default, delay: 40ms, loss: 2%}}
workloads:
  - {{name: page, kind: http, from: db, to: web, port: 80, network: default, count: 1}}
  - {{name: ping, kind: ping, from: db, to: web, network: default, count: 60, interval: 20ms}}
timeline:
  - {{at: 100ms, link: {{between: [web, db], network: default}}, delay: 60ms}}
expect:
  - ping.latency.min >= 80ms
capture: [db]
sockets: [web]
"""


@pytest.fixture(
    params=[
        ("process", "userspace"),
        ("container", "userspace"),
        pytest.param(("process", "netem"), marks=pytest.mark.netem),
    ],
    ids=" ".join,
)
def how(request):
    if request.param[0] == "process" and os.geteuid() != 0:
        pytest.skip("only root can have a local process as the agent of containers")
    return request.param


def test_services_are_impaired_measured_and_given_back(shop, how, lab_name, tmp_path):
    agent, engine = how
    before = traces(shop)
    web, db = shop.address("web"), shop.address("db")
    assert shortest(shop, "db", web) < ROUND_TRIP_MS
    topology = loads(TOPOLOGY.format(project=shop.name), "attached.yml")
    with agent_as(agent), Lab.up(topology, name=lab_name, engine=engine) as lab:
        assert set(lab) == {"web", "db", "other"}
        assert shortest(shop, "db", web) >= ROUND_TRIP_MS
        assert shortest(shop, "web", db) >= ROUND_TRIP_MS
        for service, address in (("other", web), ("other", db), ("db", shop.address("web", "back"))):
            assert shortest(shop, service, address) < ROUND_TRIP_MS
        assert lab["db"].run(["hostname"]).stdout.strip() == docker(
            "inspect", "--format", "{{.Config.Hostname}}", shop.container("db")
        )
        checks = lab.check(budget_s=10)
        assert (len(checks), wrong(checks)) == (2, [])
        if agent == "process":
            found = lab.run(tmp_path, check=False)
            assert [outcome.passed for outcome in found.outcomes] == [True]
            assert list(found.path.rglob("*.pcap*"))
        lab.link("db", "web", "default").update(delay="200ms")
        assert shortest(shop, "db", web) >= 240
    assert shortest(shop, "db", web) < ROUND_TRIP_MS
    assert traces(shop) == before


@pytest.fixture(scope="module")
def containers():
    """Containers on the network that Docker has by default, one that shares its namespace, and one of the machine's."""
    token = secrets.token_hex(4)
    made = {name: f"attach_{token}_{name}" for name in ("a", "b", "sharing", "host")}
    modes = {"sharing": f"container:{made['a']}", "host": "host"}
    try:
        for name, container in made.items():
            docker("run", "-d", "--name", container, "--network", modes.get(name, DEFAULT), "testbed", "sleep", "600")
        yield made
    finally:
        docker("rm", "-f", *reversed(made.values()))


@contextmanager
def captured(container, packets):
    """The times at which echo requests and replies pass the interface of a container, as tcpdump sees them."""
    tcpdump = ["timeout", "30", "tcpdump", "-tt", "-n", "-i", "eth0", "-c", str(packets), "icmp"]
    times: dict[tuple[str, int], float] = {}
    pipe = subprocess.PIPE
    with subprocess.Popen(["docker", "exec", container, *tcpdump], stdout=pipe, stderr=pipe, text=True) as program:
        assert program.stderr
        assert any("listening" in line for line in program.stderr)
        yield times
        said, _ = program.communicate()
    for at, kind, number in re.findall(r"^([\d.]+) .* echo (request|reply), .* seq (\d+)", said, re.MULTILINE):
        times[kind, int(number)] = float(at)


def test_one_direction_between_containers_without_a_network_of_their_own(containers, lab_name):
    a, b = containers["a"], containers["b"]
    networks = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", b))
    address = networks[DEFAULT]["IPAddress"]
    link = ["--link", f"{a}->{b}", "delay=40ms"]
    done = run("attach", a, b, "--name", lab_name, *link, "--no-check", lab=lab_name)
    assert done.returncode == 0, done.stderr + done.stdout
    try:
        with captured(a, 10) as at_a, captured(b, 10) as at_b:
            docker("exec", a, "ping", "-c5", "-i0.1", address)
        there = [at_b["request", number] - at_a["request", number] for number in range(1, 6)]
        back = [at_a["reply", number] - at_b["reply", number] for number in range(1, 6)]
        assert min(there) >= 0.04
        assert min(back) < 0.04

        again = run(
            "attach", containers["sharing"], b, "--link", f"{containers['sharing']},{b}", "delay=1ms", lab=lab_name
        )
        assert again.returncode == LabError.exit_code
        assert f"lab {lab_name} impairs the links to container {b} on {DEFAULT} already" in again.stderr
        assert run("exec", lab_name, as_name(a), "--", "hostname", lab=lab_name).stdout.strip() == docker(
            "inspect", "--format", "{{.Config.Hostname}}", a
        )
        assert f"{as_name(a)}, {as_name(b)}" in run("ps", lab=lab_name).stdout
    finally:
        assert run("detach", lab_name, lab=lab_name).returncode == 0
    assert min(round_trips(docker("exec", b, "ping", "-c5", "-i0.1", address))) < ROUND_TRIP_MS / 2


@pytest.mark.parametrize(
    ("names", "link", "said"),
    [
        (["host"], [], "the machine's own network (network_mode: host)"),
        (["a", "sharing"], ["a", "sharing"], "share one network namespace"),
        (["a", "x"], [], "no compose project or container is called"),
        (["a", "b"], ["a", "x"], "which is not a node"),
    ],
)
def test_what_can_not_be_attached_is_refused_with_the_reason(containers, names, link, said):
    known = containers | {"x": "no-such-thing"}
    words = ["--link", ",".join(known[name] for name in link), "delay=1ms"] if link else []
    done = run("attach", *(known[name] for name in names), *words)
    assert done.returncode == UsageError.exit_code
    assert said in done.stderr


def test_namespaces_of_the_testbed_are_no_containers(shop):
    topology = loads(f"name: x\nruntime: netns\ncompose: {{project: {shop.name}}}", "x.yml")
    with pytest.raises(MachineError, match="runtime netns makes namespaces of its own"):
        resolve(topology)


def test_nodes_of_the_lab_join_the_networks_of_a_project(shop, lab_name):
    topology = loads(
        f"""
name: mixed
compose: {{project: {shop.name}}}
networks: {{shop: {{present: {shop.name}_default}}, own: }}
nodes:
  client: {{networks: [shop, own], command: [python3, -m, http.server, "80"], ready: {{tcp: 80}}}}
  peer: {{networks: [own]}}
links: [{{between: [client, db], delay: 40ms}}, {{between: [client, peer], delay: 50ms}}]
workloads: [{{name: rpc, kind: tcp-rr, from: db, to: client, count: 3}}]
""",
        "mixed.yml",
    )
    with Lab.up(topology, name=lab_name) as lab:
        for name, least in (("db", 80), ("peer", 100)):
            assert min(round_trips(lab["client"].run(["ping", "-c3", "-i0.2", name]).stdout)) >= least
        assert lab.plan.node("client").on("shop").address in shop.ping("db", "client", "-c1")
        typical_ns = lab.run_workload("rpc").number("latency.p50")
        assert typical_ns is not None
        assert typical_ns >= 80e6
    assert lab_name not in docker("network", "inspect", f"{shop.name}_default")


def test_labs_share_a_project_and_say_what_has_become_of_its_containers(lab_name):
    """Two labs at once, on different ports; containers that are paused, stopped, and removed."""
    token = secrets.token_hex(4)
    made = {name: f"attach-{token}-{name}" for name in "abc"}
    other = f"{lab_name}-2"
    try:
        for container in made.values():
            docker("run", "-d", "--name", container, "testbed", "sleep", "600")
        a, b, c = made.values()
        address = {name: docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name) for name in made.values()}
        for lab, link in ((lab_name, f"{a},{b}"), (other, f"{b}->{c}")):
            ends = re.split(",|->", link)
            done = run("attach", *ends, "--name", lab, "--link", link, "delay=40ms", "--no-check", lab=lab)
            assert done.returncode == 0, done.stderr
        for source, target, least in ((a, b, 80), (b, c, 40)):
            times = round_trips(docker("exec", source, "ping", "-nc3", "-i0.1", address[target]))
            assert min(times) >= least
        changed = run("attach", a, b, "--name", lab_name, "--link", f"{a},{b}", "delay=50ms", lab=lab_name)
        assert changed.returncode == LabError.exit_code
        assert f"testbed impair {lab_name} FROM TO KEY=VALUE changes a link" in changed.stderr
        assert run("detach", other).returncode == 0
        assert min(round_trips(docker("exec", a, "ping", "-nc3", "-i0.1", address[b]))) >= 80
        for command, said in (("pause", "is paused"), ("unpause", ""), ("kill", "has ended")):
            docker(command, b)
            checked = run("check", lab_name, lab=lab_name) if said else None
            line = next(line for line in run("ps").stdout.splitlines() if line.startswith(f"{lab_name} "))
            assert said in line
            assert checked is None or checked.returncode == LabError.exit_code
        docker("rm", "-f", a, b)
        assert run("detach", lab_name).returncode == 0
    finally:
        for lab in (lab_name, other):
            run("detach", lab)
        subprocess.run(["docker", "rm", "-f", *made.values()], capture_output=True, check=False)
