"""Compose projects of containers that no lab makes, brought up by the machine's docker-compose."""

from __future__ import annotations

import json
import secrets
import subprocess
from contextlib import contextmanager
from ipaddress import IPv4Network

from testbed.runtime import load

COMPOSE = ["docker-compose"]
IDLE = ["sleep", "infinity"]

SERVICES: dict[str, dict[str, object]] = {
    "web": {"command": ["python3", "-m", "http.server", "80"], "networks": ["default", "back"]},
    "db": {"command": IDLE, "networks": ["default", "back"]},
    "other": {"command": IDLE},
    "side": {"command": IDLE, "network_mode": "service:web"},
    "host": {"command": IDLE, "network_mode": "host"},
}


def docker(*argv):
    return subprocess.run(["docker", *argv], capture_output=True, text=True, check=True).stdout.strip()


def free_subnets():
    """Subnets that are in use nowhere on this machine; labs look for theirs from other places on."""
    taken = load("docker").taken()
    return (net for net in IPv4Network("198.19.0.0/16").subnets(new_prefix=24) if not any(map(net.overlaps, taken)))


class Project:
    """A project that is up."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory

    def compose(self, *argv):
        command = [*COMPOSE, "-p", self.name, "-f", str(self.directory / "docker-compose.yml"), *argv]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def container(self, service, number=1):
        found = docker(
            "ps", "-aq", "--filter", f"label=com.docker.compose.project={self.name}",
            "--filter", f"label=com.docker.compose.service={service}",
            "--filter", f"label=com.docker.compose.container-number={number}",
        )  # fmt: skip
        return docker("inspect", "--format", "{{.Name}}", found).removeprefix("/")

    def address(self, service, network="default", number=1):
        networks = json.loads(
            docker("inspect", "--format", "{{json .NetworkSettings}}", self.container(service, number))
        )
        return networks["Networks"][f"{self.name}_{network}"]["IPAddress"]

    def ping(self, service, address, *argv):
        """What ping says in a container of the project."""
        command = ["docker", "exec", self.container(service), "ping", "-n", "-i0.05", "-W2", *argv, address]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@contextmanager
def project(directory, services=None):
    """A compose project with two networks, `default` and `back`."""
    subnets = free_subnets()
    content = {
        "version": "3.8",
        "services": {
            name: {"image": "testbed", "stop_grace_period": "0s", **keys}
            for name, keys in (services or SERVICES).items()
        },
        "networks": {name: {"ipam": {"config": [{"subnet": str(next(subnets))}]}} for name in ("default", "back")},
    }
    directory.mkdir(exist_ok=True)
    (directory / "docker-compose.yml").write_text(json.dumps(content))
    made = Project(f"attach-{secrets.token_hex(4)}", directory)
    try:
        made.compose("up", "-d")
        yield made
    finally:
        made.compose("down", "-v", "-t", "0")
