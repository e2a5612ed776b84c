"""`testbed check --container` and `--namespace`: judges of what other tools have set, here tc of iproute2."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from typing import TYPE_CHECKING

import pytest

from testbed.errors import UsageError
from testbed.lab.judging import judge
from testbed.lab.observer import SILENT
from tests.live import command_line
from tests.live.docker_agents import agent_as
from tests.live.lateness import is_lateness

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

SUBNET = "198.18.231"
TRIES = 5
"""How often something is measured where the machine may be too busy for it."""


def done(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def tc(enter: tuple[str, ...], words: str) -> None:
    done(*enter, "tc", *words.split())


def state_of(*enter: str) -> str:
    """All that a judge must leave as it is."""
    commands = ("tc qdisc show", "tc filter show", "ip -4 address show", "ip route show", "ip -details link show")
    return "\n".join(done(*enter, *command.split()) for command in commands)


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a cable between them, which no lab knows."""
    tag = secrets.token_hex(3)
    names = f"judge-{tag}-a", f"judge-{tag}-b"
    for name in names:
        done("ip", "netns", "add", name)
    try:
        done("ip", "link", "add", "eth0", "netns", names[0], "type", "veth", "peer", "eth0", "netns", names[1])
        for number, name in enumerate(names, start=1):
            done("ip", "-n", name, "address", "add", f"{SUBNET}.{number}/24", "dev", "eth0")
            done("ip", "-n", name, "link", "set", "eth0", "up")
        yield names
    finally:
        for name in names:
            done("ip", "netns", "delete", name)


@pytest.fixture
def containers() -> Iterator[tuple[str, str]]:
    """Two containers on a network of Docker's, which no lab knows."""
    tag = secrets.token_hex(3)
    names = f"judge-{tag}-a", f"judge-{tag}-b"
    done("docker", "network", "create", f"judge-{tag}")
    try:
        for name in names:
            done("docker", "run", "--detach", "--name", name, "--network", f"judge-{tag}", "testbed:latest")
        yield names
    finally:
        for name in names:
            subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
        done("docker", "network", "rm", f"judge-{tag}")


def in_container(name: str) -> tuple[str, ...]:
    pid = done("docker", "inspect", "--format", "{{.State.Pid}}", name).strip()
    return "nsenter", "--target", pid, "--net", "--"


@pytest.mark.userns
@pytest.mark.netns
def test_a_rate_that_tc_has_set_is_judged_in_its_direction(namespaces: tuple[str, str]) -> None:
    one, other = namespaces
    enter = "ip", "netns", "exec", one
    # A bucket of 12 ms: more passes at first than the rate allows.
    tc(enter, "qdisc add dev eth0 root tbf rate 10mbit burst 15kb latency 200ms")
    before = state_of(*enter)

    right = command_line.run("check", "--namespace", f"{one}->{other}", "rate=10mbit", "--json")
    (row,) = json.loads(right.stdout)
    assert row["link"] == f"{one} -> {other}"
    assert row["rate_verdict"] == "as requested" or row["rate_verdict"].startswith("not measured")  # a busy machine
    assert row["loss_verdict"] == "as requested"

    for _ in range(TRIES):
        wrong = command_line.run("check", "--namespace", f"{other}->{one}", "rate=10mbit")
        if "not measured" not in wrong.stdout:
            break
    assert wrong.returncode == 1, wrong.stdout
    assert "rate too high" in wrong.stdout  # this direction has no limit

    assert state_of(*enter) == before


@pytest.mark.userns
@pytest.mark.netns
def test_without_impairments_the_path_must_be_clear(namespaces: tuple[str, str]) -> None:
    one, other = namespaces
    for check in judge((one, other), {}, runtime="netns", observer=SILENT):
        assert all(finding.passed or is_lateness(finding) for finding in check.findings), check.verdict
        assert check.arrived == check.sent


@pytest.mark.userns
@pytest.mark.netns
def test_errors_name_what_is_wrong(namespaces: tuple[str, str]) -> None:
    one, other = namespaces
    with pytest.raises(UsageError, match=r"unknown-namespace.*no-such"):
        judge((one, "no-such"), {}, runtime="netns", observer=SILENT)
    with pytest.raises(UsageError, match="same-namespace"):
        judge((one, f"/run/netns/{one}"), {}, runtime="netns", observer=SILENT)
    with pytest.raises(UsageError, match=r"unknown-key.*(\n.*)*did you mean delay"):
        judge((one, other), {"dealy": "1ms"}, runtime="netns", observer=SILENT)
    for number, name in enumerate(namespaces, start=1):
        done("ip", "-n", name, "address", "add", f"198.18.232.{number}/24", "dev", "eth0")
    with pytest.raises(UsageError, match=r"which-address.*198\.18\.232\.0/24(.|\n)*--subnet"):
        judge((one, other), {}, runtime="netns", observer=SILENT)
    only = command_line.run("check", "--namespace", one, other, "--subnet", "198.18.233.0/24")
    assert only.returncode == 2
    assert "no-address" in only.stderr


@pytest.mark.docker
@pytest.mark.parametrize("kind", ["process", "container"])
def test_a_path_between_containers_is_judged(containers: tuple[str, str], kind: str) -> None:
    one, other = containers
    enter = in_container(one)
    tc(enter, "qdisc add dev eth0 root handle 1: htb default 1")
    tc(enter, "class add dev eth0 parent 1: classid 1:1 htb rate 3mbit")
    before = state_of(*enter)
    with agent_as(kind):
        requested = {"rate": "3mbit"} if kind == "process" else {}
        for _ in range(TRIES):
            there, back = judge((one, other), requested, runtime="docker", observer=SILENT)
            if "not measured" not in back.verdict:
                break
        assert all(finding.passed or is_lateness(finding) for finding in there.findings), there.verdict
        assert there.arrived
        assert not requested or "rate too high" in back.verdict
        with pytest.raises(UsageError, match=r"unknown-container.*no-such"):
            judge((one, "no-such"), {}, runtime="docker", observer=SILENT)
    assert state_of(*enter) == before
    assert f"check-{os.getpid()}" not in done("docker", "ps", "--all", "--format", "{{.Names}}")


@pytest.mark.netem
@pytest.mark.docker
def test_a_delay_that_tc_has_set_is_right_or_wrong(containers: tuple[str, str]) -> None:
    one, other = containers
    tc(in_container(one), "qdisc add dev eth0 root netem delay 40ms loss 5%")
    (right,) = judge((one, other), {"delay": "40ms", "loss": "5%"}, runtime="docker", both=False, observer=SILENT)
    assert all(finding.passed or is_lateness(finding) for finding in right.findings), right.verdict
    wrong = command_line.run("check", "--container", one, other, "delay=60ms", "loss=5%")
    assert wrong.returncode == 1, wrong.stdout
    assert "delay too low" in wrong.stdout
    assert "loss too low" in wrong.stdout  # the way back loses nothing


@pytest.mark.netem
@pytest.mark.userns
@pytest.mark.netns
def test_netem_between_namespaces_is_right_or_wrong(namespaces: tuple[str, str]) -> None:
    one, other = namespaces
    tc(("ip", "netns", "exec", one), "qdisc add dev eth0 root netem delay 200ms rate 2mbit")
    requested = {"delay": "200ms", "rate": "2mbit"}
    (right,) = judge((one, other), requested, runtime="netns", both=False, observer=SILENT)
    assert all(finding.passed or is_lateness(finding) for finding in right.findings), right.verdict
    assert right.arrived
    wrong = command_line.run("check", "--namespace", f"{one}->{other}", "delay=190ms", "rate=2mbit")
    assert wrong.returncode == 1, wrong.stdout
    assert "delay too high" in wrong.stdout
