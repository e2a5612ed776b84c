"""Containers and networks that are not the testbed's, made by the docker command, and everything that `undo` is about.

A snapshot is what independent tools say: tc, ethtool, ip and sysctl, in the machine's namespace and in the containers'.
"""

from __future__ import annotations

import json
import re
import subprocess
from abc import ABC, abstractmethod
from contextlib import contextmanager

from testbed.agent import messages
from testbed.impairments import Impairments
from testbed.runtime import local_agent
from tests.live.command_line import WAIT_S, eventually

IMAGE = "testbed:latest"


def docker(*argv):
    return subprocess.run(["docker", *argv], capture_output=True, text=True, check=True).stdout.strip()


class Containers(ABC):
    """Containers of somebody's on a bridge network of theirs, by short names."""

    network: str

    @abstractmethod
    def container(self, which):
        """The name that the Docker Engine knows a container by."""

    def identity(self, which):
        """What tells a container when it has been made anew."""
        return messages.ContainerIdentity(name=self.container(which))

    def inspect(self, which):
        (found,) = json.loads(docker("inspect", self.container(which)))
        return found

    def pid(self, which):
        return self.inspect(which)["State"]["Pid"]

    def address(self, which):
        return self.inspect(which)["NetworkSettings"]["Networks"][self.network]["IPAddress"]

    def port(self, which):
        """The name of the switch side of a container's interface."""
        (inner,) = json.loads(self.inside(which, "ip", "-j", "link", "show", "dev", "eth0"))
        return next(
            each["ifname"] for each in json.loads(said("ip", "-j", "link")) if each["ifindex"] == inner["link_index"]
        )

    def inside(self, which, *argv, check=True):
        """What a command of this machine says in the network namespace of a container."""
        return said("nsenter", "-t", str(self.pid(which)), "-n", "--", *argv, check=check)

    def pings(self, source, target, *options):
        """The round trips, ms, of pings from one container to another."""
        argv = ["ping", "-n", "-W2", *(options or ("-c2", "-i0.1")), self.address(target)]
        return [float(each) for each in re.findall(r"time=([\d.]+) ms", self.inside(source, *argv, check=False))]


class System(Containers):
    """Somebody's containers `NAME-a`, `NAME-b`, ..."""

    def __init__(self, name, subnet):
        self.name = name
        self.network = f"{name}-net"
        once_free("docker", "network", "create", "--subnet", subnet, self.network)

    def container(self, which):
        return f"{self.name}-{which}"

    def start(self, which, *options):
        """Start a container."""
        docker("run", "-d", "--name", self.container(which), "--network", self.network, *options, IMAGE)

    def remove(self):
        mine = docker("ps", "-aq", "--filter", f"network={self.network}").split()
        if mine:
            docker("rm", "-f", *mine)
        docker("network", "rm", self.network)


_COMPOSE = """
version: "2.4"
services:
  web: {image: "IMAGE"}
  db: {image: "IMAGE"}
networks:
  default: {ipam: {config: [{subnet: SUBNET}]}}
"""


class Project(Containers):
    """A compose project of somebody's, of two services. Its containers are `web-1`, `web-2`, ... and `db-1`."""

    def __init__(self, name, subnet, directory):
        self._name = name
        self._directory = directory
        self.network = f"{name}_default"
        (directory / "docker-compose.yml").write_text(_COMPOSE.replace("IMAGE", IMAGE).replace("SUBNET", subnet))

    def container(self, which):
        return f"{self._name}_{which.replace('-', '_')}"

    def identity(self, which):
        service, _, number = which.partition("-")
        return messages.ContainerIdentity(
            name=self.container(which), project=self._name, service=service, number=int(number)
        )

    def compose(self, *argv):
        once_free("docker-compose", "-p", self._name, "-f", str(self._directory / "docker-compose.yml"), *argv)


@contextmanager
def compose_project(name, subnet, directory):
    """Somebody's compose project for the time of the context."""
    made = Project(name, subnet, directory)
    try:
        made.compose("up", "-d")
        yield made
    finally:
        made.compose("down", "-t0")


@contextmanager
def system(name, subnet, *which):
    """Somebody's system for the time of the context."""
    made = System(name, subnet)
    try:
        for each in which:
            made.start(each)
        yield made
    finally:
        made.remove()


def said(*argv, check=True):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{argv}: {done.stderr}")
    return done.stdout


def once_free(*argv):
    """Run a command that makes a network, once no lab of another process has its subnet: they find theirs anywhere."""

    def done():
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
        return result if "overlaps" not in result.stderr else None

    made = eventually(done, WAIT_S)
    assert made, f"{argv}: somebody has this subnet"
    assert made.returncode == 0, f"{argv}: {made.stderr}"


_CHANGING = re.compile(r"nf_conntrack_count|\.stable_secret")


def _lines(names, prefix=()):
    """What there is of some interfaces in a network namespace, which commands with a prefix are in."""
    qdiscs = said(*prefix, "tc", "qdisc", "show").splitlines()
    for device in json.loads(said(*prefix, "ip", "-d", "-j", "link")):
        name = device["ifname"]
        if name not in names:
            continue
        for each in ("info_data", "info_slave_data"):
            if bridged := device.get("linkinfo", {}).get(each):
                device["linkinfo"][each] = {key: bridged[key] for key in bridged if not key.endswith("_timer")}
        yield from (f"{name} {key}: {value}" for key, value in device.items())
        own = [line for line in qdiscs if f" dev {name} " in line]
        yield from own
        for hook in ("ingress", "egress") if any("clsact" in line for line in own) else ():
            yield from (f"{name} {hook}: {line}" for line in _filters(prefix, name, hook))
        yield from (f"{name} offload: {line}" for line in said(*prefix, "ethtool", "-k", name).splitlines())
    for each in json.loads(said(*prefix, "ip", "-j", "neigh") or "[]"):
        if each["dev"] in names and "lladdr" in each:
            lasting = "PERMANENT" in each["state"]
            yield f"neighbour: {each['dev']} {each['dst']} {each['lladdr']}{' for good' * lasting}"
    for line in said(*prefix, "sysctl", "-a", "-r", r"^net\.").splitlines():
        key = line.partition(" = ")[0]
        of_device = ".conf." in key or ".neigh." in key
        if not _CHANGING.search(line) and (not of_device or {*names} & {*key.split(".")}):
            yield f"setting: {line}"


def _filters(prefix, device, hook):
    return said(*prefix, "tc", "filter", "show", "dev", device, hook).splitlines()


def snapshot(made, *which):
    """All that must be the same before and after, outside of some containers and inside; lines of text."""
    bridge = "br-" + json.loads(docker("network", "inspect", made.network))[0]["Id"][:12]
    found = {f"outside {line}" for line in _lines({bridge, *(made.port(each) for each in which)})}
    for each in which:
        prefix = ("nsenter", "-t", str(made.pid(each)), "-n", "--")
        found |= {f"{each} {line}" for line in _lines({"eth0", "lo"}, prefix)}
    return sorted(found)


def adopt(agent, made, *which):
    """Have an agent know containers as its nodes, by the letters that they have here."""
    nodes = []
    for each in which:
        found = made.inspect(each)
        endpoint = found["NetworkSettings"]["Networks"][made.network]
        interface = messages.PresentInterface(network="net", mac=endpoint["MacAddress"], address=endpoint["IPAddress"])
        nodes.append(
            messages.PresentNode(
                name=each,
                container=found["Id"],
                pid=found["State"]["Pid"],
                limited=False,
                interfaces=(interface,),
                identity=made.identity(each),
            )
        )
    agent.call(messages.Adopt(networks=(messages.AdoptedNetwork(name="net", open=True),), nodes=tuple(nodes)))


def link(made, source, destination, delay_ns=40_000_000, engine="auto"):
    """A request for a link between two containers."""
    return messages.LinkRequest(
        source=source,
        destination=destination,
        network="net",
        addresses={each: (made.address(each),) for each in (source, destination)},
        impairments=Impairments(delay_ns=delay_ns),
        later=(),
        seed=1,
        engine=engine,
        repeatable=False,
    )


def impair(agent, made, one, other, **how):
    """Have links with impairments in both directions between two containers."""
    agent.call(messages.Impair(links=(link(made, one, other, **how), link(made, other, one, **how))))


def impair_both(agent, made, one, other, **how):
    """The same, of a lab that is up."""
    impair(agent, made, one, other, **how)
    agent.call(messages.Remember(plan={}))


def start_agent(lab):
    """The agent of a lab of containers, a process of this machine."""
    return local_agent.start("docker", lab, isolate=False, docker_engine="/var/run/docker.sock")
