"""Compose projects of containers that no lab makes, brought up by the machine's docker-compose."""

from __future__ import annotations

import json
import random
import secrets
import subprocess
from contextlib import contextmanager
from ipaddress import IPv4Network

from testbed.runtime import load

COMPOSE = ["docker-compose"]
ATTEMPTS = 3
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
    """Subnets that are in use nowhere on this machine, in any order: other tests and labs look for theirs too."""
    taken = load("docker").taken()
    subnets = [*IPv4Network("198.19.0.0/16").subnets(new_prefix=24)]
    random.shuffle(subnets)
    return (net for net in subnets if not any(map(net.overlaps, taken)))


class Project:
    """A project that is up."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory

    def compose(self, *argv):
        done = self._compose(*argv)
        assert done.returncode == 0, done.stderr

    def _compose(self, *argv):
        command = [*COMPOSE, "-p", self.name, "-f", str(self.directory / "docker-compose.yml"), *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def up(self, services):
        """Bring services up; on other subnets where somebody has taken them meanwhile."""
        for _ in range(ATTEMPTS):
            subnets = free_subnets()
            networks = {name: {"ipam": {"config": [{"subnet": str(next(subnets))}]}} for name in ("default", "back")}
            content = {"version": "3.8", "services": services, "networks": networks}
            (self.directory / "docker-compose.yml").write_text(json.dumps(content))
            done = self._compose("up", "-d")
            if "overlaps" not in done.stderr:
                break
            self.down()
        assert done.returncode == 0, done.stderr

    def down(self):
        self.compose("down", "-v", "-t", "0")

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
    directory.mkdir(exist_ok=True)
    made = Project(f"attach-{secrets.token_hex(4)}", directory)
    try:
        made.up(
            {
                name: {"image": "testbed", "stop_grace_period": "0s", **keys}
                for name, keys in (services or SERVICES).items()
            }
        )
        yield made
    finally:
        made.down()
