"""Labs of an ordinary user: in a user namespace, and on a Docker Engine that the user's group may use.

The user has neither a home directory nor a runtime directory, and can read nothing of this checkout: what the command
needs is copied to where anybody can read it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.live.command_line import MARK, WAIT_S, eventually, nothing_remains
from tests.pings import least

NOBODY = 65534
STRANGER = 54321
"""A user without a name, whom no other test is."""

DOCKER_SOCKET = Path("/var/run/docker.sock")
TOPOLOGY = """
name: rootless
nodes: {client: {}, server: {}}
links:
  - {between: [client, server], delay: 25ms}
"""
ROUTED = """
name: routed
nodes: {client: , router: {router: {nat: {inside: [client-router], kind: full-cone}}}, server: }
links:
  - {wire: [client, router], delay: 5ms}
  - {wire: [router, server], delay: 10ms}
"""

LEADING = """
name: leading
networks: {lan: {internal: false}}
nodes: {client: , server: }
"""

pytestmark = [pytest.mark.live, pytest.mark.userns]


def needed(name, found):
    """The distributions that one needs, all the way down, itself included."""
    if name not in found:
        found[name] = metadata.distribution(name)
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
                needed(requirement.name, found)
    return found


@pytest.fixture(scope="module")
def installed():
    """A directory that anybody can read, with the package, what it needs, and a topology."""
    directory = Path(tempfile.mkdtemp(prefix="testbed-rootless-"))
    shutil.copytree(ROOT / "testbed", directory / "testbed", ignore=shutil.ignore_patterns("__pycache__", "wheels"))
    for name, distribution in needed("testbed-lab", {}).items():
        for file in distribution.files or ():
            if name != "testbed-lab" and ".." not in file.parts and "__pycache__" not in file.parts:
                (directory / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(distribution.locate_file(file), directory / file)
    (directory / "rootless.yml").write_text(TOPOLOGY, "utf-8")
    (directory / "routed.yml").write_text(ROUTED, "utf-8")
    (directory / "leading.yml").write_text(LEADING, "utf-8")
    subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
    yield directory
    shutil.rmtree(directory)


def command_of(groups, installed, lab, user=NOBODY):
    """Runs the command line as a user; the option of setpriv tells its groups."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", MARK: lab}
    program = ["setpriv", f"--reuid={user}", f"--regid={user}", groups, "--", os.path.realpath(sys.executable)]

    def testbed(*argv):
        return subprocess.run(
            [*program, "-m", "testbed", *argv],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment,
            timeout=WAIT_S,
        )

    return testbed


def goes_through_its_life(testbed, installed, lab, runtime):
    """Bring a lab up, look at it, use it, change it, take it down; what `up` said."""
    try:
        done = testbed("up", str(installed / "rootless.yml"), "--name", lab, "--runtime", runtime)
        assert done.returncode == 0, done.stderr
        said = done.stdout
        assert re.search(rf"^{lab} +{runtime} +up +client, server$", testbed("ps").stdout, re.MULTILINE)
        assert 50 <= least(lambda: quickest(testbed, lab), 51.5) <= 51.5
        assert captured(testbed, lab) > 0
        if runtime == "netns":
            sees_packets_with_tcpdump(testbed, lab)
            is_apart(testbed, lab)
            is_confined(testbed, lab)
        assert testbed("impair", lab, "client", "server", "delay=45ms").returncode == 0
        assert 70 <= least(lambda: quickest(testbed, lab), 71.5) <= 71.5
    finally:
        done = testbed("down", lab)
    assert (done.returncode, done.stderr) == (0, "")
    assert nothing_remains(lab)
    entries = (each for _, *both in os.walk(f"/tmp/testbed-{NOBODY}") for names in both for each in names)
    assert not [each for each in entries if each.startswith(lab)]
    return said


@contextmanager
def pinging(testbed, lab):
    """Have the client ping the server all the while."""
    client = ("exec", lab, "client", "--")
    with ThreadPoolExecutor(1) as meanwhile:
        ping = (*client, "ping", "-q", "-i0.05", "server")
        meanwhile.submit(testbed, *ping)
        try:
            assert eventually(lambda: testbed(*client, "sh", "-c", SIGNAL, "ping", "0").returncode == 0)
            yield
        finally:
            testbed(*client, "sh", "-c", SIGNAL, "ping", "INT")


SIGNAL = """
for each in $(grep -lx "$0" /proc/[0-9]*/comm); do kill -s "$1" $(echo $each | grep -o '[0-9]*') && done=1; done
test "$done"
"""
"""Sends a signal to the processes that have a name."""


def captured(testbed, lab):
    """How many packets a capture has that is taken while some are under way."""
    file = Path(f"/tmp/{lab}.pcap")
    with pinging(testbed, lab):
        done = testbed("capture", lab, "server", "--duration", "1s", "-o", str(file))
    try:
        assert done.returncode == 0, done.stderr
        assert file.read_bytes()[:4] == b"\x4d\x3c\xb2\xa1"
    finally:
        file.unlink(missing_ok=True)
    told = re.search(r"(\d+) packets", done.stderr)
    assert told, done.stderr
    return int(told[1])


def sees_packets_with_tcpdump(testbed, lab):
    """As root in a user namespace of one user it must be told to stay root, and `exec` says so."""
    tcpdump = ["exec", lab, "server", "--", "tcpdump", "-c3", "-n", "-i", "eth0", "icmp"]
    done = testbed(*tcpdump)
    assert done.returncode != 0
    assert done.stderr.endswith("hint: a lab of an ordinary user has no other users: tcpdump -Z root ...\n")
    with pinging(testbed, lab):
        done = testbed(*tcpdump, "-Z", "root")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ICMP echo") == 3


def is_apart(testbed, lab):
    """Processes of one node see nothing of the other's, and nothing of the user's variables."""
    testbed("exec", lab, "client", "--", "sh", "-c", "sleep 600 >/dev/null 2>&1 &")
    assert testbed("exec", lab, "server", "--", "pkill", "sleep").returncode == 1
    assert testbed("exec", lab, "client", "--", "pkill", "sleep").returncode == 0
    done = testbed("exec", lab, "client", "--", "env")
    assert {line.partition("=")[0] for line in done.stdout.splitlines()} == {"PATH", "HOME", "LANG"}
    assert testbed("logs", lab).returncode == 0


def is_confined(testbed, lab):
    """What a node writes to the user's places is its own, and it can't talk to the agent nor change settings."""
    mark = f"/tmp/{lab}-written"
    done = testbed("exec", lab, "client", "--", "sh", "-c", f"echo x > {mark}; ls {mark}")
    assert done.stdout.startswith(mark), done.stderr
    assert not Path(mark).exists()
    assert testbed("exec", lab, "server", "--", "ls", mark).returncode != 0
    agent = f"/tmp/testbed-{NOBODY}/netns/{lab}/agent.sock"
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    said = testbed("exec", lab, "client", "--", "python3", "-c", connect, agent).stderr
    assert re.search("Refused|FileNotFound", said), said
    for place in ("/etc", "/usr", "/sys/kernel", "/proc/sys/kernel"):
        assert testbed("exec", lab, "client", "--", "touch", f"{place}/{lab}").returncode != 0


def quickest(testbed, lab):
    done = testbed("exec", lab, "client", "--", "ping", "-n", "-c15", "-i0.1", "server")
    assert done.returncode == 0, done.stdout + done.stderr
    return min(float(value) for value in re.findall(r"time=([\d.]+) ms", done.stdout))


@pytest.fixture(params=["nothing", "a file system"])
def mounted_below_tmp(request):
    """Something mounted below /tmp: the kernel then gives an ordinary user no layer over it."""
    directory = Path(tempfile.mkdtemp(prefix="testbed-mounted-"))
    if request.param == "nothing":
        yield
    else:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)
        yield
        subprocess.run(["umount", directory], check=True)
    directory.rmdir()


@pytest.mark.netns
@pytest.mark.usefixtures("mounted_below_tmp")
def test_in_a_user_namespace(installed, lab_name):
    testbed = command_of("--clear-groups", installed, lab_name)
    said = goes_through_its_life(testbed, installed, lab_name, "netns")
    assert "network namespaces of an ordinary user" in said


def a_link_to_a_directory_of_the_users(path):
    (path.parent / f"{path.name}-target").mkdir(mode=0o700)
    os.chown(path.parent / f"{path.name}-target", STRANGER, STRANGER)
    path.symlink_to(path.parent / f"{path.name}-target")


def a_directory_of_somebody_else(path):
    path.mkdir(mode=0o700)


def a_directory_that_all_may_write_to(path):
    path.mkdir()
    path.chmod(0o777)
    os.chown(path, STRANGER, STRANGER)


def a_file(path):
    path.touch(mode=0o600)
    os.chown(path, STRANGER, STRANGER)


@pytest.mark.parametrize(
    "prepared",
    [a_link_to_a_directory_of_the_users, a_directory_of_somebody_else, a_directory_that_all_may_write_to, a_file],
)
def test_what_somebody_has_put_where_the_state_of_labs_belongs_is_refused(installed, lab_name, prepared):
    path = Path(f"/tmp/testbed-{STRANGER}")
    assert not os.path.lexists(path)
    try:
        prepared(path)
        testbed = command_of("--clear-groups", installed, lab_name, user=STRANGER)
        done = testbed("up", str(installed / "rootless.yml"), "--name", lab_name, "--runtime", "netns")
        assert done.returncode == 3
        assert re.search(rf"(unsafe-state-directory|state-not-written): .*{path}", done.stderr), done.stderr
        assert "hint:" in done.stderr
        assert not path.is_dir() or not [*path.iterdir()]
    finally:
        subprocess.run(["rm", "-rf", path, f"{path}-target"], check=True)


@pytest.mark.netns
def test_routers_with_nat_in_a_user_namespace(installed, lab_name):
    testbed = command_of("--clear-groups", installed, lab_name)
    try:
        done = testbed("up", str(installed / "routed.yml"), "--name", lab_name, "--runtime", "netns")
        assert done.returncode == 0, done.stderr
        assert quickest(testbed, lab_name) >= 30
        done = testbed("check", lab_name)
        behaviour = "mapping endpoint-independent, filtering endpoint-independent, no hairpin: as requested"
        assert re.search(rf"router on router-server: {behaviour}", done.stdout), done.stdout + done.stderr
    finally:
        done = testbed("down", lab_name)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.docker
def test_in_the_docker_group(installed, lab_name):
    group = DOCKER_SOCKET.stat().st_gid
    testbed = command_of(f"--groups={group}", installed, lab_name)
    goes_through_its_life(testbed, installed, lab_name, "docker")


@pytest.mark.docker
def test_networks_that_lead_out_are_refused_before_anything_is_made(installed, lab_name):
    testbed = command_of("--clear-groups", installed, lab_name)
    done = testbed("up", str(installed / "leading.yml"), "--name", lab_name, "--runtime", "netns")
    assert done.returncode == 3
    assert re.search(r"leading\.yml:3:28: needs-root: network lan has internal: false.*\n  hint: use sudo", done.stderr)
    assert nothing_remains(lab_name)


def test_outside_the_docker_group(installed, lab_name):
    testbed = command_of("--clear-groups", installed, lab_name)
    done = testbed("up", str(installed / "rootless.yml"), "--name", lab_name, "--runtime", "docker")
    assert done.returncode == 3
    assert f"user {NOBODY} may not open {DOCKER_SOCKET}" in done.stderr
    assert "usermod -aG docker" in done.stderr


SERVICE = """
name: service
nodes:
  server:
    entrypoint: [python3]
    command: [-m, http.server, "8080"]
    volumes: [".:/mnt:ro"]
    tmpfs: "/srv:size=1m"
    working_dir: /mnt
    user: root
    hostname: server.example.org
    dns: 198.18.0.99
    ulimits: {nofile: 200}
    setup: [[sh, -c, "ls /mnt > /srv/listed"]]
    ready: {http: /rootless.yml, port: 8080, timeout: 60s}
  client: {depends_on: [server]}
"""


@pytest.mark.netns
def test_a_service_in_a_user_namespace(installed, lab_name):
    testbed = command_of("--clear-groups", installed, lab_name)
    topology = installed / "service.yml"
    topology.write_text(SERVICE, "utf-8")
    try:
        done = testbed("up", str(topology), "--name", lab_name, "--runtime", "netns")
        assert done.returncode == 0, done.stderr
        script = "cat /srv/listed; touch /mnt/x; hostname; ulimit -n; cat /etc/resolv.conf; grep ' /srv ' /proc/mounts"
        done = testbed("exec", lab_name, "server", "--", "sh", "-c", script)
        for found in ("rootless.yml\n", "server.example.org\n", "\n200\n", "nameserver 198.18.0.99\n", "size=1024k"):
            assert found in done.stdout, done.stdout
        assert "Read-only file system" in done.stderr
        assert testbed("exec", lab_name, "client", "--", "curl", "-sSf", "http://server:8080/").returncode == 0
    finally:
        testbed("down", lab_name)
    assert nothing_remains(lab_name)
    topology.write_text(SERVICE.replace("user: root", "user: daemon"), "utf-8")
    done = testbed("up", str(topology), "--name", lab_name, "--runtime", "netns")
    assert done.returncode == 3
    assert "node server runs as 'daemon', and a lab of an ordinary user has no user but root" in done.stderr
