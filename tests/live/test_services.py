"""Containers as services, as curl, docker inspect and the node itself see them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess

import pytest

from testbed.errors import LabError
from testbed.lab import Lab, take_down
from testbed.topology import loads
from tests.conftest import remains
from tests.live.command_line import eventually

pytestmark = [pytest.mark.live, pytest.mark.docker]

WEB = """
name: web
networks: {lan: {internal: false}}
nodes:
  client: {depends_on: [web]}
  web:
    image: testbed-nginx
    volumes: ["./site:/srv/web:ro"]
    ports: ["127.0.0.1:PORT:80", "127.0.0.1::80"]
    restart: always
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    devices: [/dev/null:/dev/nothing:rw]
    dns: [198.18.0.99]
    labels: {team: net}
    platform: linux/amd64
    pull_policy: never
    shm_size: 32MiB
    ready: {http: /index.html, timeout: 60s}
links: [{between: [client, web], delay: 20ms}]
"""

DOCKERFILE = """
FROM testbed AS base
USER root
ARG GREETING
RUN echo $GREETING > /greeting
FROM base AS wanted
HEALTHCHECK --interval=1s CMD test -f /well
FROM base AS broken
RUN echo almost there && no-such-program
"""


@pytest.fixture
def up(lab_name, tmp_path):
    yield lambda text: Lab.up(loads(text, "services.yml", tmp_path), name=lab_name, runtime="docker")
    take_down(lab_name)


@pytest.fixture
def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def fetched(port):
    url = f"http://127.0.0.1:{port}/index.html"
    return subprocess.run(["curl", "-sS", "--max-time", "10", url], capture_output=True, text=True, check=False).stdout


def inspected(lab, node):
    shown = subprocess.run(["docker", "inspect", f"testbed-{lab}-{node}"], capture_output=True, check=True).stdout
    return json.loads(shown)[0]


def round_trips(lab, source, destination):
    """Of those pings that are answered, ms: none while a container that was restarted is not behind its links again."""
    done = lab[source].run(["ping", "-n", "-c5", "-i0.1", "-W10", destination])
    return [float(each) for each in re.findall(r"time=([\d.]+)", done.stdout)]


@pytest.mark.servers
def test_nginx_with_files_and_ports_of_this_machine(up, lab_name, tmp_path, free_port):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("a page of this machine\n")
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)  # nginx is another user
    lab = up(WEB.replace("PORT", str(free_port)))
    state = inspected(lab_name, "web")
    host, bindings = state["HostConfig"], state["NetworkSettings"]["Ports"]["80/tcp"]
    assert {each["HostIp"] for each in bindings} == {"127.0.0.1"}
    for port in {free_port, *(int(each["HostPort"]) for each in bindings)}:
        assert fetched(port) == "a page of this machine\n"
    assert (host["CapAdd"], host["CapDrop"], host["Privileged"]) == (["NET_ADMIN"], ["MKNOD"], False)
    assert host["Dns"] == ["198.18.0.99"]
    assert host["ShmSize"] == 32 * 1024 * 1024
    assert host["RestartPolicy"]["Name"] == "always"
    assert state["Config"]["Labels"]["team"] == "net"
    assert lab["web"].run(["sh", "-c", "echo x > /dev/nothing"]).status == 0
    assert state["RestartCount"] == 0

    os.kill(state["State"]["Pid"], 9)  # which Docker then starts again; its links must follow
    assert eventually(lambda: inspected(lab_name, "web")["RestartCount"] == 1 and fetched(free_port))
    assert min(eventually(lambda: round_trips(lab, "client", "web"))) >= 40


def test_a_published_port_that_is_taken_is_an_error_with_the_fix(up, lab_name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = f"name: x\nnetworks: {{lan: {{internal: false}}}}\nnodes: {{a: {{ports: ['127.0.0.1:{port}:80']}}}}"
        with pytest.raises(LabError, match=rf"(?s)port-in-use: node a publishes port {port}/tcp .*ss -tulnp"):
            up(text)
    assert remains(lab_name) == []


def test_an_image_is_built_and_its_healthcheck_heeded(up, lab_name, tmp_path):
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "Dockerfile").write_text(DOCKERFILE)
    build = "build: {context: ./server, args: {GREETING: good day}, target: TARGET}"
    text = f"name: {lab_name}\nnodes: {{a: {{{build}, entrypoint: [sleep], command: ['1000'], REST}}}}"
    healthy = text.replace("REST", "ready: {healthcheck: true, timeout: 60s}, setup: [touch /well]")
    try:
        lab = up(healthy.replace("TARGET", "wanted"))
        assert lab["a"].run(["cat", "/greeting"]).stdout == "good day\n"
        assert inspected(lab_name, "a")["State"]["Health"]["Status"] == "healthy"
        lab.down()
        with pytest.raises(LabError, match=r"(?s)no-healthcheck: node a .*has none"):
            up(healthy.replace("TARGET", "base"))
        with pytest.raises(LabError, match=r"(?s)build-failed: node a: .*almost there.*no-such-program"):
            up(healthy.replace("TARGET", "broken"))
        assert remains(lab_name) == []
    finally:
        image = f"testbed-build/{lab_name}:a"
        subprocess.run(["docker", "image", "rm", "--force", image], capture_output=True, check=False)


def test_a_program_that_is_restarted_until_it_works_is_waited_for(up, tmp_path):
    (tmp_path / "count").mkdir()
    for directory, mode in ((tmp_path / "count", 0o777), (tmp_path, 0o755), (tmp_path.parent, 0o755)):
        directory.chmod(mode)
    lab = up(
        """
name: again
nodes:
  a:
    command: [sh, -c, "echo x >> /mnt/starts; test $(wc -l < /mnt/starts) -ge 3 || exit 1; echo works; exec sleep 1000"]
    volumes: ["./count:/mnt"]
    restart: on-failure
    ready: {log: works, timeout: 60s}
  b:
links: [{between: [a, b], delay: 20ms}]
"""
    )
    assert (tmp_path / "count" / "starts").read_text() == "x\n" * 3
    assert min(eventually(lambda: round_trips(lab, "b", "a"))) >= 40


def test_a_program_that_keeps_ending_is_told_with_its_last_lines(up, lab_name):
    keeps_ending = "{command: [sh, -c, 'echo bad luck; exit 7'], restart: always}"
    with pytest.raises(LabError) as caught:
        up(f"name: ending\nnodes: {{a: {keeps_ending}, b: }}\nlinks: [{{between: [a, b], delay: 1ms}}]")
    assert "bad luck" in "\n".join((str(caught.value), *getattr(caught.value, "__notes__", ())))
    assert remains(lab_name) == []
