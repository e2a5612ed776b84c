"""Containers of somebody's on two machines, on an overlay network of theirs: taken over, followed, and given back."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import remains
from tests.live import engines, ssh
from tests.live.command_line import eventually, nothing_remains_on, run

pytestmark = [pytest.mark.live, pytest.mark.machines]

NETWORK = "shop-net"
ROUND_TRIP_MS = 80
QUICK_MS = ROUND_TRIP_MS / 2
"""What a round trip without impairments takes less than, on any machine."""

PINGS = "while :; do ping -n -i 0.2 -W 2 db; sleep 0.1; done"


class Shop:
    """`web`, which pings as soon as it has started, and `other` on the first machine, `db` on the second.

    Attributes:
        first, second: the machines.
    """

    def __init__(self, first, second):
        self.first, self.second = first, second
        first.docker("network", "create", "-d", "overlay", "--attachable", "--subnet", "198.18.201.0/24", NETWORK)
        self.start("db", "sleep", "infinity")
        self.start("web", "sh", "-c", PINGS)
        self.start("other", "sleep", "infinity")

    def start(self, name, *argv):
        self.machine(name).start_on_overlays(name, "--init", "--network", NETWORK, engines.IMAGES[0], *argv)

    def machine(self, container):
        return self.second if container == "db" else self.first

    def pings_ms(self, source, target, count=4):
        """What ping in a container measures to another one, by its name."""
        said = self.machine(source).docker("exec", source, "ping", "-n", "-c", count, "-i", "0.2", "-W", "2", target)
        return times_ms(said)

    def is_quick(self, source, target):
        """Whether a ping without impairments comes back at last."""
        return eventually(lambda: min(self.pings_ms(source, target)) < QUICK_MS)

    def begun_ms(self):
        """What web measures to db from its start on."""
        started = json.loads(self.first.docker("inspect", "web"))[0]["State"]["StartedAt"]
        assert eventually(lambda: len(self._logged(started)) >= 3)
        return self._logged(started)

    def _logged(self, since):
        return times_ms(self.first.docker("logs", "--since", since, "web"))

    def state(self):
        """What tc, ip and ethtool say where links are: the network on both machines, and the containers."""
        identity = self.first.docker("network", "inspect", "-f", "{{.Id}}", NETWORK)
        found = []
        for each in ("web", "db"):
            machine = self.machine(each)
            (sandbox,) = Path(f"/proc/{machine.pid}/root/run/docker/netns").glob(f"*-{identity[:10]}")
            pid = machine.docker("inspect", "-f", "{{.State.Pid}}", each)
            inner = ["nsenter", "-t", machine.pid, "-p", "-m", "--", "nsenter", "-t", pid, "-n"]
            ports = re.findall(r"^\d+: (\w+)", engines.run("nsenter", f"--net={sandbox}", "ip", "link"), re.MULTILINE)
            argvs = [["ip", "-o", "link"], ["tc", "qdisc"]]
            argvs += [["tc", "filter", "show", "dev", port, way] for port in ports for way in ("egress", "ingress")]
            found += [engines.run("nsenter", f"--net={sandbox}", *argv) for argv in argvs]
            found += [engines.run(*inner, *argv) for argv in (["ethtool", "-k", "eth0"], ["ip", "-o", "link"])]
        return found


def times_ms(said):
    return [float(each) for each in re.findall(r"time=([0-9.]+)", said)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with engines.swarm(tmp_path_factory.mktemp("engines") / "all", "east", "west") as found:
        yield Shop(*found)


@pytest.fixture(scope="module")
def west(shop, tmp_path_factory):
    """The address of the second machine, by ssh, and the environment of commands that use it."""
    with ssh.server(tmp_path_factory.mktemp("ssh") / "all") as (address, environment):
        yield address + shop.second.address.removeprefix("unix://"), environment


@pytest.fixture
def command(west, lab_name):
    """Run a command of the testbed. What is attached is detached at the end."""
    _, environment = west
    yield partial(run, env=environment, timeout=200)
    run("detach", lab_name, env=environment)


@pytest.fixture
def attach(shop, west, command, lab_name):
    """Attach by the command line."""
    address, _ = west
    return partial(command, "attach", "--name", lab_name, f"--host=east={shop.first.address}", f"--host=west={address}")


def test_links_are_impaired_both_ways_follow_restarts_and_are_given_back(shop, attach, command, lab_name):
    done = attach("east/web", "west/db", "--link", "web,db", "delay=40ms")
    assert (done.returncode, "2 links as requested" in done.stdout) == (0, True), done.stdout + done.stderr
    assert min(shop.pings_ms("web", "db")) >= ROUND_TRIP_MS
    assert min(shop.pings_ms("db", "web")) >= ROUND_TRIP_MS
    assert shop.is_quick("other", "db")
    assert shop.is_quick("db", "other")

    address = shop.first.docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", "web")
    shop.first.restart("web")
    assert shop.first.docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", "web") != address
    assert min(shop.begun_ms()) >= ROUND_TRIP_MS
    assert min(shop.pings_ms("db", "web")) >= ROUND_TRIP_MS
    shop.second.docker("rm", "-f", "db")
    shop.start("db", "sleep", "infinity")
    assert eventually(lambda: re.search(rf"^{lab_name} +swarm +up ", command("ps").stdout, re.MULTILINE))
    assert min(shop.pings_ms("web", "db")) >= ROUND_TRIP_MS
    assert min(shop.pings_ms("db", "web")) >= ROUND_TRIP_MS
    assert command("detach", lab_name).returncode == 0
    assert shop.is_quick("web", "db")
    assert nothing_remains_on((shop.first, shop.second), lab_name)
    assert remains(lab_name) == []


def test_an_agent_that_is_killed_restores_its_links_and_detach_the_others(shop, attach, command, lab_name):
    before = shop.state()
    done = attach("web", "db", "--link", "web,db", "delay=40ms", "--no-check")
    assert done.returncode == 0, done.stderr
    assert shop.state() != before
    shop.second.docker("kill", f"testbed-{lab_name}.agent")
    assert eventually(lambda: QUICK_MS <= min(shop.pings_ms("db", "web")) < ROUND_TRIP_MS)  # one of both links is left
    assert f"{lab_name} " in (said := command("ps").stdout)
    assert "machine west: its agent was killed; " in said
    assert command("detach", lab_name).returncode == 0
    assert shop.is_quick("web", "db")
    assert nothing_remains_on((shop.first, shop.second), lab_name)
    assert eventually(lambda: shop.state() == before)


def test_what_can_not_be_taken_over_is_refused_with_the_reason(shop, attach):
    shop.first.docker("network", "create", "-d", "overlay", "shut")
    service = ("service", "create", "-d", "--name", "task", "--constraint", "node.role==manager", "--network", "shut")
    shop.first.docker(*service, "--no-resolve-image", engines.IMAGES[0], "sleep", "infinity")
    assert eventually(lambda: shop.first.docker("ps", "-q", "--filter", "name=task.1", "--filter", "status=running"))
    task = shop.first.docker("ps", "--format", "{{.Names}}", "--filter", "name=task.1")
    shop.first.docker("run", "-d", "--name", "hosty", "--network", "host", engines.IMAGES[0], "sleep", "infinity")
    for names, said in [
        (("east/wbe", "db"), "no compose project or container is called 'east/wbe'"),
        (("east/db", "web"), "no compose project or container is called 'east/db'"),
        (("north/web", "db"), "'north/web' is on 'north', which is none of the hosts"),
        ((f"east/{task}", "db"), "shut (overlay, made without --attachable)"),
        (("hosty", "db"), "has the machine's own network"),
    ]:
        done = attach(*names)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    shop.first.docker("service", "rm", "task")
