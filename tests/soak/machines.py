"""Three machines: shipped topologies on them, and Docker Engines that are reached by TCP with TLS."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import testbed
from testbed import runs
from tests.live import engines
from tests.live.command_line import COMMAND, run
from tests.live.lateness import wrong

pytestmark = [pytest.mark.live, pytest.mark.machines]

NAMES = ("east", "west", "south")
TCP_PORT = 2376
SECONDS = 300

FILE = """
name: tls
nodes: {client: , server: , third: }
links: [{between: [client, server], delay: 40ms, loss: 1%}, {between: [server, third], delay: 25ms, jitter: 5ms}]
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A directory with the certificates of an authority, of the Docker Engines and of a client."""
    place = tmp_path_factory.mktemp("certificates")
    names = ",".join(f"IP:{engines.SUBNET}.{number + 1}" for number in range(len(NAMES)))
    request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    ca = ["-x509", "-keyout", place / "ca-key.pem", "-out", place / "ca.pem", "-days", "2", "-subj", "/CN=authority"]
    engines.run(*request, *ca)
    for name, extension in (("server", f"subjectAltName={names}"), ("client", "extendedKeyUsage=clientAuth")):
        signed = ["-keyout", place / f"{name}-key.pem", "-out", place / f"{name}.pem", "-subj", f"/CN={name}"]
        signed += ["-x509", "-days", "2", "-CA", place / "ca.pem", "-CAkey", place / "ca-key.pem", "-addext", extension]
        engines.run(*request, *signed, "-addext", "basicConstraints=critical,CA:false")
    return place


@pytest.fixture(scope="module")
def machines(tmp_path_factory, certificates):
    listen = f"--host tcp://0.0.0.0:{TCP_PORT} --tlsverify --tlscacert {certificates}/ca.pem "
    listen += f"--tlscert {certificates}/server.pem --tlskey {certificates}/server-key.pem"
    with engines.swarm(tmp_path_factory.mktemp("engines") / "all", *NAMES, listen=listen) as found:
        yield found


@pytest.mark.parametrize("name", ["nat", "home", "dual-stack", "ten-hops"])
def test_a_shipped_topology_has_the_same_verdicts_on_three_machines(machines, lab_name, tmp_path, name):
    shipped = Path(testbed.__file__).parents[1] / "topologies"
    (tmp_path / name).symlink_to(shipped / name)
    hosts = json.dumps({each.name: each.address for each in machines})
    path = tmp_path / f"{name}.yml"
    path.write_text(f"{(shipped / path.name).read_text('utf-8')}\nhosts: {hosts}\n", encoding="utf-8")
    done = run("run", str(path), "--name", lab_name, "--results", str(tmp_path / "results"), timeout=SECONDS)
    found = runs.load(tmp_path / "results" / "latest")
    assert wrong(found.checks) == [], done.stdout
    assert [nat.name for nat in found.nats if not nat.passed] == [], done.stdout
    was_busy = any("this machine was too busy" in why for why in found.distrust)
    assert was_busy or all(outcome.passed for outcome in found.outcomes), done.stdout
    assert [each.remains(lab_name) for each in machines] == [[], [], []]


def test_contexts_with_tls(machines, certificates, lab_name, tmp_path):
    environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    for each in machines:
        options = f"host=tcp://{each.ip}:{TCP_PORT},ca={certificates}/ca.pem"
        options += f",cert={certificates}/client.pem,key={certificates}/client-key.pem"
        argv = ["docker", "context", "create", f"lab-{each.name}", "--docker", options]
        subprocess.run(argv, env=environment, check=True, capture_output=True)
    hosts = json.dumps({each.name: f"lab-{each.name}" for each in machines})
    file = tmp_path / "tls.yml"
    file.write_text(f"{FILE.strip()}\nhosts: {hosts}\n", encoding="utf-8")
    inside = ["nsenter", f"--net=/proc/{machines[0].hub}/ns/net", "--", *COMMAND]

    def testbed(*argv):
        done = subprocess.run(
            [*inside, *argv], env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
        )
        assert done.returncode == 0, done.stdout + done.stderr

    testbed("up", str(file), "--name", lab_name)
    try:
        testbed("check", lab_name)
    finally:
        testbed("down", lab_name)
    assert [each.remains(lab_name) for each in machines] == [[], [], []]
