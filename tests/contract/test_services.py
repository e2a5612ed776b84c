"""What both runtimes promise of nodes that are services: the keys that containers and namespaces share."""

from __future__ import annotations

import re

import pytest

from testbed.errors import LabError, MachineError
from testbed.lab import Lab, find
from testbed.topology import loads
from tests.conftest import remains, unused_name
from tests.runtimes import RUNTIMES

TOPOLOGY = """
name: services
nodes:
  app:
    command: [sh, -c, "curl --silent --show-error http://server:8080/page > /var/tmp/page 2>&1; exec sleep 1000"]
    tmpfs: /var/tmp
    depends_on: [server]
  server:
    entrypoint: [python3, -m]
    command: [http.server, "8080"]
    volumes: ["./site:/mnt:ro"]
    tmpfs: ["/var/tmp:size=1m,mode=1777"]
    user: www-data
    working_dir: /mnt
    env_file: server.env
    environment: {SECOND: own}
    hostname: server.example.org
    extra_hosts: {far.example: 198.18.0.100}
    dns: [198.18.0.99]
    ulimits: {nofile: 1234, core: {soft: 0, hard: 5120}}
    setup: [[sh, -c, "id -un > /var/tmp/setup"]]
    ready: {http: /page, port: 8080, timeout: 60s}
  stopped:
    command: [sh, -c, "trap 'echo ended > /mnt/ended; exit 0' USR1; echo set; while :; do sleep 0.1; done"]
    volumes: ["./out:/mnt"]
    stop_signal: USR1
    ready: {log: "^set$", timeout: 60s}
  speaker:
    user: www-data
    command: [sh, -c, "echo spoken > /dev/stdout; exec sleep 1000"]
    ready: {log: spoken, timeout: 60s}
  late:
    command: [python3, -c, "import socket, time; time.sleep(1); s = socket.socket(type=socket.SOCK_DGRAM); \
      s.bind(('', 5353)); s.sendto(*s.recvfrom(9)); time.sleep(1000)"]
    ready: {udp: 5353, timeout: 60s}
  asker:
    setup: [[python3, -c, "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(60); \
      s.sendto(b'once', ('late', 5353)); assert s.recv(9) == b'once'"]]
    depends_on: [late]
  loose: {depends_on: {app: {condition: service_started}}, ready: {command: [ping, -c1, server], timeout: 60s}}
"""


@pytest.fixture(scope="module", params=RUNTIMES)
def services(request, tmp_path_factory):
    """The lab, the directory of its files, and what is left in it when the lab is down."""
    directory = tmp_path_factory.mktemp("services")
    for name in ("site", "out"):
        (directory / name).mkdir()
    (directory / "out").chmod(0o777)
    for parent in (directory, *directory.parents[:2]):
        parent.chmod(0o755)  # the server is another user
    (directory / "site" / "page").write_text("from this machine\n")
    (directory / "server.env").write_text("FIRST=file # the first\nSECOND=file\n")
    text = loads(TOPOLOGY, "services.yml", directory)
    with unused_name() as name, Lab.up(text, name=name, runtime=request.param) as lab:
        yield lab, directory
    assert (directory / "out" / "ended").read_text() == "ended\n"  # by the signal that the file gives


def said(lab, node, *argv):
    done = lab[node].run(argv)
    assert done.status == 0, done.stderr
    return done.stdout


def test_files_of_the_machine_and_memory(services):
    lab, directory = services
    assert said(lab, "server", "cat", "page") == "from this machine\n"  # in the directory that the file gives
    assert said(lab, "server", "pwd") == "/mnt\n"
    mounts = {line.split()[2]: line for line in said(lab, "server", "mount").splitlines()}
    assert said(lab, "server", "python3", "-c", "import os; print(os.statvfs('/mnt').f_flag & os.ST_RDONLY)") == "1\n"
    assert "size=1024k" in mounts["/var/tmp"]
    assert {"nosuid", "nodev", "noexec"} <= set(re.findall(r"\w+", mounts["/var/tmp"]))
    assert said(lab, "stopped", "sh", "-c", "echo written > /mnt/file") == ""
    assert (directory / "out" / "file").read_text() == "written\n"


def test_user_limits_and_variables(services):
    lab, _ = services
    assert said(lab, "server", "id", "-un") == "www-data\n"
    assert said(lab, "server", "cat", "/var/tmp/setup") == "www-data\n"
    assert said(lab, "server", "sh", "-c", "ulimit -n; ulimit -Sc; ulimit -Hc") == "1234\n0\n10\n"  # blocks of 512 B
    assert said(lab, "server", "sh", "-c", "echo $FIRST $SECOND") == "file own\n"


def test_names(services):
    lab, _ = services
    assert said(lab, "server", "hostname") == "server.example.org\n"
    hosts = said(lab, "server", "cat", "/etc/hosts")
    assert re.search(r"^198\.18\.0\.100\s+far\.example$", hosts, re.MULTILINE)
    assert said(lab, "app", "ping", "-c1", "server").count("ttl=") == 1  # by the node's name


def test_a_node_starts_when_those_that_it_depends_on_are_ready(services):
    lab, _ = services
    assert said(lab, "app", "cat", "/var/tmp/page") == "from this machine\n"


def test_a_node_is_ready_when_its_udp_port_is_bound(services):
    lab, _ = services
    bound = said(lab, "late", "ss", "--udp", "--listening", "--numeric", "--no-header")
    assert re.search(r"0\.0\.0\.0:5353\b", bound)  # and the one datagram of the asker was answered


@pytest.fixture(params=RUNTIMES)
def up(request, lab_name, tmp_path):
    yield lambda node: Lab.up(
        loads(f"name: x\nnodes: {{a: {{{node}}}}}", "x.yml", tmp_path), name=lab_name, runtime=request.param
    )
    if found := find(lab_name):
        found.down(lab_name)


SAYING = """
    tmpfs: /var/tmp, command: [sh, -c, 'echo starting up; touch /var/tmp/said; exec sleep 1000'],
    setup: [[sh, -c, 'until [ -e /var/tmp/said ]; do sleep 0.05; done']]
"""
"""Its log has a line before it is waited for."""


@pytest.mark.parametrize(
    ("ready", "found"),
    [
        ("http: /, port: 8080", r"GET / on port 8080 succeeds\): there was no answer"),
        ("command: [sh, -c, 'echo no; exit 3']", r"succeeds\): status 3: no"),
        ("udp: 53", r"UDP port 53 is bound\): no program had bound it"),
        ("log: finished", r"matches finished\): there was no such line"),
    ],
)
def test_a_condition_that_is_never_met_is_told_with_the_log_and_undone(up, lab_name, ready, found):
    with pytest.raises(LabError, match=rf"(?s)node a was not ready within 300 ms .*{found}; its last log.*starting up"):
        up(f"{SAYING}, ready: {{{ready}, timeout: 300ms}}")
    assert remains(lab_name) == []


def test_a_udp_port_that_only_the_node_itself_reaches_or_a_peer_is_not_ready(up):
    bind = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 5353))"
    peer = "p = socket.socket(type=socket.SOCK_DGRAM); p.bind(('', 5354)); p.connect(('127.0.0.1', 9))"
    setup = "setup: [['sh', '-c', 'until [ -e /var/tmp/bound ]; do sleep 0.05; done']]"
    command = f"{bind}; {peer}; open('/var/tmp/bound', 'w'); import time; time.sleep(1000)"
    node = f'tmpfs: /var/tmp, command: [python3, -c, "{command}"], {setup}'
    for port, found in ((5353, r"it was bound at 127\.0\.0\.1 only, not at 198\."), (5354, "no program had bound it")):
        with pytest.raises(LabError, match=rf"not-ready: .*UDP port {port} is bound\): {found}"):
            up(f"{node}, ready: {{udp: {port}, timeout: 300ms}}")


def test_setup_that_fails_is_told_and_undone(up, lab_name):
    with pytest.raises(LabError, match=r"(?s)setup-failed: node a: .*ended with status 5; it wrote:\n    too bad"):
        up("setup: [['sh', '-c', 'echo too bad >&2; exit 5']]")
    assert remains(lab_name) == []


def test_files_that_another_machine_lacks_are_named(tmp_path, lab_name):
    (tmp_path / "gone").mkdir()
    topology = loads("name: x\nnodes: {a: {volumes: ['./gone:/mnt', '.:/srv']}}", "x.yml", tmp_path)
    (tmp_path / "gone").rmdir()
    with pytest.raises(MachineError, match=r"missing-files: .*: a: volume \./gone\n"):
        Lab.up(topology, name=lab_name, runtime="netns")
