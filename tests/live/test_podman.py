"""A lab in podman of root, through its Docker-compatible socket, beside a Docker Engine.

podman's storage, networks and socket are the test's own. It runs as an ordinary process, as without systemd.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.lab import Lab
from testbed.runtime.state import LabDirectory
from testbed.topology import loads
from tests.live import command_line
from tests.live.lateness import wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.podman, pytest.mark.live]

TOPOLOGY = """
name: three
networks: {left: {}, right: {}}
nodes:
  a: {networks: [left]}
  middle: {networks: [left, right], cpus: 0.5, memory: 200MB}
  b: {networks: [right], command: [sleep, infinity]}
links:
  - {between: [a, middle], delay: 20ms, loss: 3%}
  - {from: middle, to: b, delay: 150ms}
"""
START_S = 60
MOST = 8192
"""A limit that no machine refuses."""
BRIDGES = ["-i", "podman+", "-o", "podman+", "-j", "ACCEPT"]


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A service of podman with our image; the environment of its commands and of those of Docker."""
    place = tmp_path_factory.mktemp("podman")
    limits = [
        ("nofile", min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
        ("nproc", min(MOST, resource.getrlimit(resource.RLIMIT_NPROC)[1])),
    ]
    # A container of CI may raise no limit; and crun, where it is the default, takes no hybrid of cgroups 1 and 2.
    runtime = 'runtime = "runc"' if shutil.which("runc") else ""
    settings = f"""
[containers]
default_ulimits = [{", ".join(f'"{name}={most}:{most}"' for name, most in limits)}]
[network]
network_backend = "netavark"
network_config_dir = "{place}/networks"
[engine]
{runtime}
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{place}/tmp"
volume_path = "{place}/volumes"
"""
    (place / "containers.conf").write_text(settings)
    storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{place}/storage"\nrunroot = "{place}/run"\n'
    (place / "storage.conf").write_text(storage)
    environment = {
        **os.environ,
        "CONTAINERS_CONF": str(place / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(place / "storage.conf"),
        "DOCKER_HOST": f"unix://{place}/podman.sock",
    }
    with subprocess.Popen(["docker", "save", "testbed:latest"], stdout=subprocess.PIPE) as saving:
        subprocess.run(["podman", "load", "--quiet"], stdin=saving.stdout, env=environment, check=True)
    service = ["podman", "system", "service", "--time=0", environment["DOCKER_HOST"]]
    with subprocess.Popen(service, env=environment, stderr=subprocess.DEVNULL) as serving:
        try:
            deadline = time.monotonic() + START_S
            while not (place / "podman.sock").exists():
                assert serving.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield environment
        finally:
            serving.terminate()
    subprocess.run(["podman", "rm", "--all", "--force", "--time=0"], env=environment, check=True)
    subprocess.run(["umount", str(place / "storage" / "overlay")], check=False)
    shutil.rmtree(place)


@pytest.fixture
def forwarded() -> Iterator[None]:
    """The Docker Engine beside it has the firewall drop what bridges forward, unless a rule lets it pass."""
    subprocess.run(["iptables", "--wait", "-I", "FORWARD", *BRIDGES], check=True)
    yield
    subprocess.run(["iptables", "--wait", "-D", "FORWARD", *BRIDGES], check=True)


@pytest.fixture
def lab(podman: dict[str, str], forwarded: None, lab_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("DOCKER_HOST", podman["DOCKER_HOST"])
    with Lab.up(loads(TOPOLOGY, "three.yml"), name=lab_name, runtime="docker", engine="userspace") as made:
        yield made
    everything = subprocess.run(["podman", "ps", "-aq"], env=podman, capture_output=True, check=True).stdout
    assert everything == b""
    networks = subprocess.run(["podman", "network", "ls"], env=podman, capture_output=True, text=True, check=True)
    assert lab_name not in networks.stdout
    assert not LabDirectory("docker", lab_name).path.exists()


def within(podman: dict[str, str], lab: str, node: str, *argv: str) -> str:
    """What a command prints that podman itself runs in a node."""
    command = ["podman", "exec", f"testbed-{lab}-{node}", *argv]
    return subprocess.run(command, env=podman, capture_output=True, text=True, check=True).stdout


def test_a_lab_in_podman_is_like_one_in_docker(lab: Lab, podman: dict[str, str]) -> None:
    assert wrong(lab.check()) == []
    assert "podman" in lab.versions()["docker"]

    # Addresses and MACs are the plan's on every network, and names resolve.
    for node in lab.plan.nodes:
        links = within(podman, lab.name, node.name, "ip", "-br", "link")
        addresses = within(podman, lab.name, node.name, "ip", "-br", "-4", "address")
        for interface in node.interfaces:
            assert interface.mac in links
            assert f"{interface.address}/24" in addresses
    ping = within(podman, lab.name, "middle", "ping", "-c", "3", "-i", "0.2", "-q", "b")
    assert float(ping.rsplit("=", 1)[1].split("/")[0]) >= 150  # ms, the least round trip

    # Commands: silent for long, ended by a signal, not there at all.
    assert lab["b"].run(["sh", "-c", "sleep 3; echo late"]).stdout == "late\n"
    assert lab["b"].run(["sh", "-c", "kill -9 $$"]).status == 137
    assert lab["b"].run(["cat"], stdin=b"in").stdout == "in"
    missing = lab["b"].run(["no-such-command"])
    assert (missing.status, missing.stdout) == (127, "")
    assert "not found" in missing.stderr
    assert "unixpacket" not in missing.stderr

    # Limits hold; a node that was paused is noticed.
    found = subprocess.run(
        ["podman", "inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}",
         f"testbed-{lab.name}-middle"], env=podman, capture_output=True, text=True, check=True)  # fmt: skip
    assert found.stdout.split() == ["200000000", "500000000"]
    subprocess.run(["podman", "pause", f"testbed-{lab.name}-a"], env=podman, capture_output=True, check=True)
    paused = command_line.run("check", lab.name, lab=lab.name)
    subprocess.run(["podman", "unpause", f"testbed-{lab.name}-a"], env=podman, capture_output=True, check=True)
    assert paused.returncode == 4
    assert "node-paused: node a" in paused.stderr


def test_a_firewall_that_drops_what_bridges_forward_is_said(
    podman: dict[str, str], lab_name: str, tmp_path: Path
) -> None:
    policy = subprocess.run(["iptables", "--wait", "-S", "FORWARD"], capture_output=True, text=True, check=True).stdout
    filtered = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if "-P FORWARD DROP" not in policy or not filtered.exists() or filtered.read_text().strip() != "1":
        pytest.skip("the firewall of this machine lets bridges forward")
    file = tmp_path / "three.yml"
    file.write_text(TOPOLOGY)
    up = ("up", str(file), "--name", lab_name, "--runtime", "docker", "--engine", "userspace")
    done = command_line.run(*up, lab=lab_name, env=podman)
    assert done.returncode == 4
    assert "bridge-filtered" in done.stderr
    assert "iptables -I FORWARD" in done.stderr
