"""Files of other tools come up as labs, and do what they say."""

import json
import subprocess

import pytest

from testbed.lab import Lab, resolve
from testbed.topology import load
from tests.live.command_line import run
from tests.live.compose_projects import free_subnets

pytestmark = [pytest.mark.live, pytest.mark.docker, pytest.mark.servers]

COMPOSE = """
services:
  web:
    image: testbed-nginx
    networks: [front]
    ports: ["127.0.0.1::80"]
    environment: {GREETING: "${GREETING:-hello}"}
    volumes: ["./site:/srv/extra:ro", "cache:/var/cache/x"]
    healthcheck: {test: ["CMD-SHELL", "test -e /srv/extra/page"], interval: 1s, retries: 10}
    logging: {driver: json-file}
  client:
    image: testbed
    command: sleep infinity
    networks: [front, back]
    depends_on: {web: {condition: service_healthy}}
    ulimits: {nofile: 333}
  store:
    image: testbed
    command: ["sh", "-c", "exec sleep infinity"]
    networks: {back: {ipv4_address: SUBNET.9}}
networks:
  front:
  back: {internal: true, ipam: {config: [{subnet: SUBNET.0/24}]}}
volumes: {cache: }
"""

CLAB = """
name: line
topology:
  kinds: {linux: {image: testbed, cmd: sleep infinity}}
  nodes:
    left: {kind: linux, exec: ["sh -c 'echo $$HOSTNAME > /tmp/name'"]}
    middle: {kind: linux, sysctls: {net.ipv4.ip_forward: 1}}
    right: {kind: linux, env: {SIDE: right}}
  links:
    - endpoints: ["left:eth1", "middle:eth1"]
    - endpoints: ["middle:eth2", "right:eth1"]
"""


def imported(tmp_path, name, text):
    """The topology that the command makes of a file, in another directory."""
    source, target = tmp_path / name / "docker-compose.yml", tmp_path / "labs" / f"{name}.yml"
    source.parent.mkdir(parents=True)
    target.parent.mkdir()
    source.write_text(text)
    if name == "shop":
        (source.parent / "site").mkdir()
        (source.parent / "site" / "page").write_text("the page\n")
    done = run("import", str(source), "--output", str(target))
    assert done.returncode == 0, done.stderr
    return target, done.stderr


def test_a_compose_file_comes_up(tmp_path, lab_name):
    subprocess.run(["docker-compose", "version"], check=True, capture_output=True)
    start = str(next(free_subnets()).network_address).removesuffix(".0")
    file, notes = imported(tmp_path, "shop", COMPOSE.replace("SUBNET", start))
    checked = ["docker-compose", "-f", str(tmp_path / "shop" / "docker-compose.yml"), "config", "--quiet"]
    assert subprocess.run(checked, capture_output=True, check=False).returncode == 0, "not a compose file"
    assert "services.web.volumes[1]" in notes
    assert "services.web.logging" in notes
    with Lab.up(resolve(load(file), lab=lab_name, runtime="docker")) as lab:
        web = lab["web"]
        assert web.run(["cat", "/srv/extra/page"]).stdout == "the page\n"
        assert web.run(["printenv", "GREETING"]).stdout == "hello\n"
        fetched = lab["client"].run(["curl", "--fail", "--silent", "--output", "/dev/null", "http://web/1KB"])
        assert fetched.status == 0
        assert lab["client"].run(["sh", "-c", "ulimit -n"]).stdout == "333\n"
        assert lab["client"].run(["ping", "-c", "1", f"{start}.9"]).status == 0
        assert lab["web"].run(["ping", "-c", "1", "-W", "1", "store"]).status != 0
        inspected = subprocess.run(
            ["docker", "port", f"testbed-{lab_name}-web", "80"], capture_output=True, text=True, check=True
        )
        page = subprocess.run(
            ["curl", "--fail", "--silent", "--head", f"http://{inspected.stdout.split()[0]}/1KB"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "200" in page.stdout.splitlines()[0]


def test_a_containerlab_file_comes_up_with_wires(tmp_path, lab_name):
    file, _ = imported(tmp_path, "line", CLAB)
    text = file.read_text().replace("{wire: [left, middle]}", "{wire: [left, middle], delay: 20ms}")
    file.write_text(text)
    with Lab.up(resolve(load(file), lab=lab_name, runtime="docker")) as lab:
        left = lab["left"]
        assert left.run(["cat", "/tmp/name"]).status == 0
        assert lab["right"].run(["printenv", "SIDE"]).stdout == "right\n"
        ping = left.run(["ping", "-c", "5", "-i", "0.2", "right"])
        assert ping.status == 0
        assert "ttl=63" in ping.stdout
        fastest = float(ping.stdout.rsplit("=", 1)[1].split("/")[0])
        assert fastest >= 39.5
        drawn = run("graph", str(file))
        assert "middle" in drawn.stdout
        assert "20 ms, each way" in drawn.stdout
        shown = json.loads(run("show", str(file), "--json").stdout)
        assert [network["wire"] for network in shown["networks"]] == [True, True]
