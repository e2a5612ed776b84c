"""Compose files as topologies: brought up, shaped before the first packet, measured, and taken down."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess

import pytest

from testbed.errors import LabError, MachineError
from testbed.lab import Lab, resolve
from testbed.runtime.docker import compose
from testbed.topology import load
from tests.live.command_line import begin, eventually, run
from tests.live.compose_projects import docker, free_subnets
from tests.live.docker_agents import agent_as
from tests.live.lateness import wrong
from tests.live.shop import copied

try:
    compose.program()
except MachineError as missing:
    pytest.skip(missing.message, allow_module_level=True)

pytestmark = [pytest.mark.docker, pytest.mark.live]

ROUND_TRIP_MS = 80

PINGS = ["sh", "-c", "ping -n -c 10 -i 0.2 -W 5 db; exec sleep infinity"]
"""What a service does first of all: it sends packets. A slow machine may lose the first, as ports are closed."""

SERVICES: dict[str, dict[str, object]] = {
    "db": {"command": ["python3", "-m", "http.server", "${PORT}"], "healthcheck": {"test": "true", "interval": "1s"}},
    "web": {"command": PINGS, "depends_on": {"db": {"condition": "service_healthy"}}},
    "extra": {"command": PINGS, "depends_on": ["db"], "profiles": ["more"]},
    "never": {"command": ["false"], "profiles": ["other"]},
}

TOPOLOGY = """
name: composed
compose: {file: [there/docker-compose.yml, there/more.yml], profiles: [more], env_file: variables}
links:
  - {between: [web, db], delay: 40ms}
  - {between: [extra, db], delay: 60ms}
"""


@pytest.fixture
def topology(tmp_path):
    (tmp_path / "there").mkdir()
    services = {name: {"image": "testbed", "stop_grace_period": "0s", **keys} for name, keys in SERVICES.items()}
    (tmp_path / "there" / "docker-compose.yml").write_text(json.dumps({"version": "3.8", "services": services}))
    (tmp_path / "there" / "more.yml").write_text(
        "version: '3.8'\nservices: {db: {volumes: ['./data:/data:ro', 'kept:/kept']}}\nvolumes: {kept: }\n"
    )
    (tmp_path / "there" / "data").mkdir()
    (tmp_path / "there" / "data" / "page").write_text("beside the compose file")
    (tmp_path / "variables").write_text("PORT=8080\n")
    file = tmp_path / "topology.yml"
    file.write_text(TOPOLOGY)
    return file


def left(lab):
    """What there is of a lab's compose project."""
    label = f"label=com.docker.compose.project=testbed-{lab}"
    listed = docker("ps", "-aq", "--filter", label), docker("network", "ls", "-q", "--filter", label)
    return "".join([*listed, docker("volume", "ls", "-q", "--filter", label)])


def round_trips(said):
    return [float(found) for found in re.findall(r"time=([\d.]+) ms", said)]


@pytest.mark.parametrize(
    ("agent", "engine"),
    [("process", "userspace"), ("container", "userspace"), pytest.param("process", "netem", marks=pytest.mark.netem)],
)
def test_the_first_packet_of_a_service_is_impaired(topology, agent, engine, lab_name):
    if agent == "process" and os.geteuid() != 0:
        pytest.skip("only root can have a local process as the agent of containers")
    expected = resolve(load(topology), lab="another", engine=engine)
    assert not left(lab_name)
    with agent_as(agent), Lab.up(topology, name=lab_name, engine=engine) as lab:
        assert set(lab) == {"web", "db", "extra"}
        assert lab.plan.digest == expected.digest
        for name, least in (("web", ROUND_TRIP_MS), ("extra", 120)):
            assert eventually(lambda name=name: b"packets transmitted" in b"".join(lab.logs(name))), name
            assert min(round_trips(b"".join(lab.logs(name)).decode())) >= least
        assert lab["db"].run(["cat", "/data/page"]).stdout == "beside the compose file"
        state = json.loads(docker("inspect", "--format", "{{json .State}}", lab.plan.node("db").container))
        assert state["Health"]["Status"] == "healthy"
        address = docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            lab.plan.node("db").container,
        )  # fmt: skip
        assert lab.plan.node("db").on("default").address == address
        assert wrong(lab.check(budget_s=10)) == []
        assert Lab.up(topology, name=lab_name, engine=engine).was_up
    assert not left(lab_name)


def test_the_first_packet_between_a_service_and_this_machine_is_impaired(tmp_path, lab_name):
    """The subnet is of the compose file, in which case an old Docker Engine lists no gateway."""
    subnet = next(free_subnets())
    pings = PINGS[2].replace(" db;", f" {subnet[1]};")
    services = {"web": {"image": "testbed", "stop_grace_period": "0s", "command": ["sh", "-c", pings]}}
    networks = {"default": {"ipam": {"config": [{"subnet": str(subnet)}]}}}
    (tmp_path / "compose.yml").write_text(json.dumps({"version": "2.4", "services": services, "networks": networks}))
    links = "links: [{between: [host, web], delay: 30ms}]"
    (tmp_path / "topology.yml").write_text(f"name: composed\ncompose: {{file: compose.yml}}\n{links}\n")
    with Lab.up(tmp_path / "topology.yml", name=lab_name, runtime="docker", engine="userspace") as lab:
        assert eventually(lambda: b"packets transmitted" in b"".join(lab.logs("web")))
        assert min(round_trips(b"".join(lab.logs("web")).decode())) >= 60
        assert [check.problem for check in lab.check()] == [None, None]


def test_a_project_of_somebody_else_is_left_alone(topology, lab_name):
    files = [word for name in ("docker-compose", "more") for word in ("-f", str(topology.parent / f"there/{name}.yml"))]
    of_mine = [
        *compose.program().argv,
        "-p",
        f"testbed-{lab_name}",
        *files,
        "--env-file",
        str(topology.parent / "variables"),
    ]
    subprocess.run([*of_mine, "up", "-d", "db"], check=True, capture_output=True)
    try:
        with pytest.raises(LabError, match=f"compose project testbed-{lab_name} is there already"):
            Lab.up(topology, name=lab_name)
        assert left(lab_name)
    finally:
        subprocess.run([*of_mine, "down", "-v"], check=True, capture_output=True)


def test_a_service_that_fails_fails_the_lab_with_what_it_wrote(topology, lab_name):
    text = topology.read_text().replace("profiles: [more]", "profiles: [more, other]")
    topology.write_text(text)
    done = run("up", str(topology), "--name", lab_name, lab=lab_name)
    assert done.returncode == LabError.exit_code
    assert "node never: its program ended with status 1" in done.stderr
    assert not left(lab_name)


def test_what_compose_refuses_is_shown(topology, lab_name):
    (topology.parent / "there" / "more.yml").write_text("services: {db: {imagge: x}}\n")
    done = run("validate", str(topology), lab=lab_name)
    assert done.returncode == 2
    assert "imagge" in done.stderr
    (topology.parent / "there" / "more.yml").write_text("version: '3.8'\nservices: {db: {devices: [/dev/no-such]}}\n")
    done = run("up", str(topology), "--name", lab_name, lab=lab_name)
    assert done.returncode == LabError.exit_code
    assert "/dev/no-such" in done.stderr
    assert not left(lab_name)


@pytest.mark.parametrize(
    ("runtime", "path", "said"),
    [("netns", "", "whose services are containers"), ("docker", "/nowhere", "no Docker Compose")],
)
def test_what_is_missing_is_said(topology, lab_name, runtime, path, said):
    done = run("up", str(topology), "--name", lab_name, "--runtime", runtime, env={"PATH": path} if path else None)
    assert done.returncode == MachineError.exit_code
    assert said in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=str)
def test_nothing_remains_of_an_interrupted_command(topology, lab_name, number):
    with begin("up", str(topology), "--name", lab_name, lab=lab_name) as command:
        assert eventually(lambda: left(lab_name))
        command.send_signal(number)
        command.communicate()
    if number == signal.SIGKILL:
        assert run("down", lab_name).returncode == 0
    assert not left(lab_name)


def test_a_shop_meets_one_expectation_and_not_the_other(lab_name, tmp_path):
    file = copied(tmp_path / "shop") / "slow-database.yml"
    file.write_text(f"{file.read_text()}  - visit.latency.min >= 4s\n")
    done = run("run", str(file), "--name", lab_name, "--results", str(tmp_path), lab=lab_name)
    assert done.returncode == 1, done.stderr + done.stdout
    met = {
        wanted: "NOT met" not in line
        for line in done.stdout.splitlines()
        for wanted in (">= 40 ms", ">= 4 s")
        if line.startswith(f"visit.latency.min {wanted}")
    }
    assert met == {">= 40 ms": True, ">= 4 s": False}
    run("down", lab_name)
    assert not left(lab_name)
